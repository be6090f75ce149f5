function Days({ days }) {
  const most = Math.max(4, ...days.map((d) => d.submitted + d.answered));
  const width = 560, height = 120, step = width / days.length;
  return (
    <svg className="tl-chart" viewBox={`0 0 ${width} ${height + 18}`} role="img"
      aria-label={"Practice of the last 14 days. " + days.filter((d) => d.submitted + d.answered).map((d) => `${d.day}: ${d.passed + d.correct} of ${d.submitted + d.answered} right`).join("; ")}>
      {days.map((d, i) => {
        const tried = (height * (d.submitted + d.answered)) / most;
        const done = (height * (d.passed + d.correct)) / most;
        return (
          <g key={d.day}>
            <rect className="tried" x={i * step + 5} width={step - 10} y={height - tried} height={Math.max(tried, 1)} rx="3" />
            <rect className="done" x={i * step + 5} width={step - 10} y={height - done} height={done} rx="3" />
            {(i % 2 === 1 || days.length < 8) && <text x={i * step + step / 2} y={height + 14} textAnchor="middle">{d.day.slice(5)}</text>}
          </g>
        );
      })}
    </svg>
  );
}

function Share({ title, of }) {
  return (
    <div>
      <div className="tl-between">
        <strong>{title}</strong>
        <span className="tl-muted tl-num">{of.ended ? `${of.percent} % · ${of.solved} of ${of.ended}` : "none yet"}</span>
      </div>
      <div className="tl-bar" role="img" aria-label={`${title}: ${of.solved} of ${of.ended}`}><span style={{ width: (of.percent || 0) + "%" }} /></div>
    </div>
  );
}

function gap(points) {
  if (points > 0) return `A gap of ${points} points: help carries you further than you go alone yet. Checks without help close it.`;
  return "No gap: you solve as much alone as with help.";
}

export default function StatsChart() {
  return (
    <section className="tl-card" aria-label="Your progress" data-testid="stats-chart">
      <h3>Your progress</h3>
      <dl className="tl-facts">
        <div><dt>Challenges passed</dt><dd className="tl-big">{props.passed}</dd></div>
        {props.answered > 0 && <div><dt>Questions right</dt><dd className="tl-big">{props.correct} of {props.answered}</dd></div>}
        <div><dt>Days in a row</dt><dd className="tl-big">{props.streak}</dd></div>
        {props.averageScore !== null && <div><dt>Average score</dt><dd className="tl-big">{props.averageScore}</dd></div>}
      </dl>
      {(props.alone.ended > 0 || props.aided.ended > 0) && (
        <>
          <h4>Alone and with help</h4>
          <div className="tl-rows" style={{ marginTop: 0 }}>
            <Share title="Solved alone" of={props.alone} />
            <Share title="Solved with help" of={props.aided} />
          </div>
          {props.alone.ended > 0 && props.aided.ended > 0 && (
            <p className="tl-muted">{gap(props.aided.percent - props.alone.percent)}</p>
          )}
        </>
      )}
      <h4>Last 14 days: right, of all tried</h4>
      <Days days={props.days} />
      {props.concepts.length > 0 && <h4>Mastery by concept</h4>}
      <div className="tl-rows" style={{ marginTop: 0 }}>
        {props.concepts.map((c) => (
          <div key={c.concept}>
            <div className="tl-between">
              <strong>{c.title}</strong>
              <span className="tl-muted tl-num">{c.mastery} of 100 · {c.succeeded} of {c.tried} right{c.due ? ` · due ${c.due}` : ""}</span>
            </div>
            <div className="tl-bar" role="img" aria-label={`Mastery of ${c.title}: ${c.mastery} of 100`}><span style={{ width: c.mastery + "%" }} /></div>
          </div>
        ))}
      </div>
    </section>
  );
}
