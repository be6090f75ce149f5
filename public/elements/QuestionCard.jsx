import { useState } from "react";

function inline(text) {
  return text.split(/(`[^`]+`)/).map((part, i) => (part.startsWith("`") ? <code key={i}>{part.slice(1, -1)}</code> : part));
}

export default function QuestionCard() {
  const question = props.current;
  const [chosen, setChosen] = useState(props.chosen ?? null);

  function choose(place) {
    if (chosen !== null) return;
    setChosen(place);
    updateElement({ ...props, chosen: place });
    sendUserMessage("ABCDEFGH"[place]);
  }

  return (
    <section className="tl-card" aria-label={`Question ${question.number} of ${props.questions}`} data-testid="question-card">
      <div className="tl-between">
        <span className="tl-muted tl-num">Question {question.number} of {props.questions}</span>
        <span className="tl-muted tl-num">{props.correct} right so far</span>
      </div>
      <div className="tl-bar" style={{ margin: "0.5rem 0 0.9rem" }} aria-hidden="true"><span style={{ width: `${(100 * (question.number - 1)) / props.questions}%` }} /></div>
      <h3>{inline(question.prompt)}</h3>
      <div className="tl-choices" role="group" aria-label="Choices">
        {question.choices.map((choice, place) => (
          <button key={place} className={"tl-choice" + (chosen === place ? " chosen" : "")} disabled={chosen !== null} aria-pressed={chosen === place} onClick={() => choose(place)}>
            <b>{"ABCDEFGH"[place]}</b><span>{inline(choice)}</span>
          </button>
        ))}
      </div>
    </section>
  );
}
