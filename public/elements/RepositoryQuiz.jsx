import { useState } from "react";

function inline(text) {
  return text.split(/(`[^`]+`)/).map((part, i) => (part.startsWith("`") ? <code key={i}>{part.slice(1, -1)}</code> : part));
}

export default function RepositoryQuiz() {
  const [answers, setAnswers] = useState(props.answers || {});
  const right = props.questions.filter((q, i) => answers[i] === q.answer).length;
  const done = Object.keys(answers).length === props.questions.length;

  function choose(question, choice) {
    const next = { ...answers, [question]: choice };
    setAnswers(next);
    updateElement({ ...props, answers: next });
  }

  return (
    <section className="tl-card" aria-label={"Quiz on " + props.repository} data-testid="repository-quiz">
      <div className="tl-between">
        <h3>Where is it in {props.repository}?</h3>
        <span className="tl-muted tl-num" role="status">{done ? `${right} of ${props.questions.length} right` : `${Object.keys(answers).length} of ${props.questions.length}`}</span>
      </div>
      {props.questions.map((q, i) => (
        <div key={i} style={{ marginTop: "1.1rem" }}>
          <p>{inline(q.prompt)}</p>
          <div className="tl-choices" role="group" aria-label={"Choices of question " + (i + 1)}>
            {q.choices.map((choice, place) => {
              const answered = answers[i] !== undefined;
              const mark = !answered ? "" : place === q.answer ? " right" : place === answers[i] ? " wrong" : "";
              return (
                <button key={place} className={"tl-choice" + mark} disabled={answered} onClick={() => choose(i, place)}>
                  <span className="tl-mono">{choice}</span>
                  {mark && <span className="tl-sr">{mark}</span>}
                </button>
              );
            })}
          </div>
          {answers[i] !== undefined && <p className="tl-muted">It is at <code>{q.explanation}</code>.</p>}
        </div>
      ))}
    </section>
  );
}
