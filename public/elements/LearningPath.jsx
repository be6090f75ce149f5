export default function LearningPath() {
  return (
    <section className="tl-card" aria-label="What to learn next" data-testid="learning-path">
      <h3>What to learn next</h3>
      <ol className="tl-path">
        {props.steps.map((step) => (
          <li key={step.concept}>
            <div className="tl-between">
              <strong>{step.title}</strong>
              <span className={"tl-tag " + step.why}>{step.why}</span>
            </div>
            <div className="tl-muted">
              {step.reason[0].toUpperCase() + step.reason.slice(1)}
              {step.missing.length ? `: ${step.missing.join(", ")}` : ""}{step.mastery ? ` (mastery ${step.mastery} of 100)` : ""}.
            </div>
          </li>
        ))}
      </ol>
      {props.more > 0 && <p className="tl-muted">And {props.more} more after these.</p>}
    </section>
  );
}
