export default function SessionSummary() {
  const share = props.answered ? Math.round((100 * props.correct) / props.answered) : 0;
  return (
    <section className="tl-card" aria-label="Session summary" data-testid="session-summary">
      <h3>Session over</h3>
      <p className="tl-big">{props.correct} of {props.answered} right</p>
      <div className="tl-bar" role="img" aria-label={`${share} percent right`}><span style={{ width: share + "%" }} /></div>
      <div className="tl-rows">
        {props.byConcept.map((row) => {
          const change = (props.changes || []).find((c) => c.concept === row.concept);
          return (
            <div key={row.concept}>
              <div className="tl-between">
                <strong>{row.title}</strong>
                <span className="tl-num">{row.correct} of {row.answered}</span>
              </div>
              {change && <div className="tl-muted">Mastery {change.before} → {change.after}{change.dueAt ? `, due again ${window.tooLooDay(change.dueAt)}` : ""}</div>}
            </div>
          );
        })}
      </div>
      {props.nextDueAt && <p className="tl-next">Come back on <strong>{window.tooLooDay(props.nextDueAt)}</strong>, when the first of these is due.</p>}
    </section>
  );
}
