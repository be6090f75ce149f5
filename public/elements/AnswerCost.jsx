export default function AnswerCost() {
  return (
    <p className="tl-cost" data-testid="answer-cost">
      {props.model} ({props.provider}) · {props.cost} · {props.reason}
    </p>
  );
}
