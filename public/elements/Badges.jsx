export default function Badges() {
  const missing = props.badges.filter((b) => !b.awardedAt);
  const revoked = props.badges.filter((b) => b.revokedAt);
  return (
    <section className="tl-card" aria-label="Your badges" data-testid="badges">
      <h3>Badges</h3>
      <p className="tl-big">{props.earned.length} of {props.badges.length}</p>
      <ul className="tl-badge-grid" aria-label="Earned">
        {props.earned.map((b) => (
          <li key={b.badgeId} className="tl-badge earned">
            <strong>{b.title}</strong>
            <span>{b.description}</span>
            <span className="tl-muted tl-num">{window.tooLooDay(b.awardedAt)}</span>
          </li>
        ))}
      </ul>
      {missing.length > 0 && <h4>Still to earn</h4>}
      <div className="tl-rows" style={{ marginTop: 0 }}>
        {missing.map((b) => (
          <div key={b.badgeId}>
            <div className="tl-between">
              <strong>{b.title}</strong>
              <span className="tl-muted tl-num">{b.percent} %</span>
            </div>
            <div className="tl-muted">{b.description}</div>
            <div className="tl-bar" role="img" aria-label={`${b.title}: ${b.percent} percent`}><span style={{ width: b.percent + "%" }} /></div>
          </div>
        ))}
      </div>
      {revoked.length > 0 && (
        <>
          <h4>Taken back</h4>
          <ul>{revoked.map((b) => <li key={b.badgeId}><strong>{b.title}</strong>: {b.revokedWhy}</li>)}</ul>
        </>
      )}
    </section>
  );
}
