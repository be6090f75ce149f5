export default function Verdict() {
  const good = props.verdict === "passed";
  const failing = props.firstFailing;
  return (
    <section className="tl-card" aria-label={"Result: " + props.title} data-testid="verdict">
      <div className="tl-between">
        <h3 className={good ? "tl-good" : "tl-bad"} style={{ whiteSpace: "pre-wrap" }}>{props.message}</h3>
        <span className="tl-muted">{props.title}</span>
      </div>
      {props.cases.length > 0 && (
        <ul className="tl-cases" aria-label="Cases">
          {props.cases.map((c) => (
            <li key={c.number} className={"tl-case " + (c.passed ? "ok" : "no")}
              title={(c.passed ? "passed" : "failed") + (c.ms === null ? "" : `, ${c.ms} ms`)}
              aria-label={`Case ${c.number} ${c.passed ? "passed" : "failed"}`} role="listitem">{c.number}</li>
          ))}
        </ul>
      )}
      {failing && (
        <div>
          <h4>Case {failing.number}{failing.hidden ? " (was hidden)" : ""}</h4>
          <dl className="tl-diff">
            <dt>Input</dt><dd><code style={{ whiteSpace: "pre-wrap" }}>{failing.input}</code></dd>
            <dt>Expected</dt><dd><code style={{ whiteSpace: "pre-wrap" }}>{failing.expected}</code></dd>
            <dt>Got</dt><dd>{failing.error ? <span className="tl-bad">{failing.error}</span> : <code>{failing.got}</code>}</dd>
            {failing.stdout && <><dt>Printed</dt><dd><pre className="tl-pre">{failing.stdout}</pre></dd></>}
          </dl>
          {failing.trace.length > 0 && <pre className="tl-pre">{failing.trace.join("\n")}</pre>}
        </div>
      )}
      <dl className="tl-facts">
        <div><dt>Score</dt><dd>{props.score} of 100</dd></div>
        <div><dt>Time</dt><dd>{props.wallMs} ms</dd></div>
        {props.mastery && <div><dt>Mastery of {props.mastery.title}</dt><dd>{props.mastery.before} → {props.mastery.after}</dd></div>}
        {props.dueAt && <div><dt>Due again</dt><dd>{window.tooLooDay(props.dueAt)}</dd></div>}
      </dl>
      {props.scoreParts && (
        <details className="tl-parts">
          <summary>How the score came about</summary>
          <table>
            <tbody>
              {props.scoreParts.map((part) => (
                <tr key={part.name}><th scope="row">{window.tooLooParts[part.name] || part.name}</th><td className="tl-num">{part.points} of {part.most}</td><td>{part.why}</td></tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </section>
  );
}
