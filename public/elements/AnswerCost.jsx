export default function AnswerCost() {
  return (
    <p className="tl-cost" data-testid="answer-cost">
      {props.model} ({props.provider}) · {props.cost}
      {props.counted ? " (tokens counted by us)" : ""}
      {props.inThisChat ? ` · ${props.inThisChat} in this chat` : ""} · {props.reason}
    </p>
  );
}
