const MARKS = { done: "✓", started: "…", missed: "!", today: "→", coming: "" };

export default function PlanCard() {
  const share = Math.round((100 * props.done) / props.sessions.length);
  return (
    <section className="tl-card" aria-label="Your plan" data-testid="plan">
      <h3>{props.goal[0].toUpperCase() + props.goal.slice(1)} on {props.goalDay}</h3>
      <p className="tl-muted">{props.titles.join(", ")} · {props.done} of {props.sessions.length} sessions done</p>
      <div className="tl-bar" role="img" aria-label={`${share} percent done`}><span style={{ width: share + "%" }} /></div>
      <ol className="tl-plan">
        {props.sessions.map((one) => (
          <li key={one.number} className={one.status} aria-current={one.status === "today" ? "date" : undefined}>
            <span className="tl-num">{one.day}</span>
            <span>{one.titles.join(", ")}</span>
            <span className="tl-muted"><span aria-hidden="true">{MARKS[one.status]} </span>{one.status === "coming" ? "" : one.status}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
