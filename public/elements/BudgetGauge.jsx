function Gauge({ row }) {
  const free = row.limit === "free";
  const tone = row.share >= 1 ? " over" : row.share >= 0.9 ? " warn" : "";
  return (
    <div>
      <div className="tl-between">
        <strong>{row.name}</strong>
        <span className="tl-num">{free ? "free" : `${row.spent} of ${row.limit}`}{row.active ? "" : " (switched off)"}</span>
      </div>
      {!free && (
        <div className={"tl-bar" + tone} role="meter" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(row.share * 100)} aria-label={"Budget used of " + row.name}>
          <span style={{ width: `${row.share * 100}%` }} />
        </div>
      )}
      {row.held && <div className="tl-muted">{row.held} held for calls that are running</div>}
    </div>
  );
}

export default function BudgetGauge() {
  return (
    <section className="tl-card" aria-label="Budgets" data-testid="budget-gauge">
      <div className="tl-between">
        <h3>Your spending, last 30 days</h3>
        <span className="tl-muted tl-num">{props.spentHere} in this chat</span>
      </div>
      <p className="tl-big">{props.spent}</p>
      <div className="tl-rows">
        {[].concat(props.own || []).map((row) => <Gauge key={row.name} row={row} />)}
        <h4>Providers, everybody together</h4>
        {props.providers.map((row) => <Gauge key={row.name} row={row} />)}
      </div>
      {props.usesBurst && <p>Calls of this chat may use the burst budgets; <code>/budget burst off</code> ends that.</p>}
      <p className="tl-muted">A call is made only if its dearest outcome still fits. {props.isAdmin && <>Change a limit with <code>/budget anthropic 5</code>. </>}Cap your own with <code>/budget 5</code>, or one kind of use with <code>/budget general.chat 2</code>.</p>
    </section>
  );
}
