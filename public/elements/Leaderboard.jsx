const COUNTED = { mastery: "Mastery of all concepts together: what each can do alone.", solved: "Challenges solved alone for the first time." };
const PERIODS = { week: " In the last 7 days.", month: " In the last 30 days.", all: "" };

function ownWords() {
  if (!props.ranked) return "You are not ranked: nobody sees your place, and you are in no count.";
  if (props.rank === null) return "Your first challenge or question puts you here.";
  return `You are number ${props.rank} of ${props.n}, ahead of ${props.percentile} % of the others.`;
}

export default function Leaderboard() {
  const most = Math.max(1, ...props.places.map((p) => p.points));
  return (
    <section className="tl-card" aria-label="Leaderboard" data-testid="leaderboard">
      <h3>Leaderboard</h3>
      {props.places.length === 0 ? (
        <p>A ranking is shown from {props.fewest} ranked learners on, so that it gives nobody away. There {props.n === 1 ? "is 1" : `are ${props.n}`}.</p>
      ) : (
        <>
          <p className="tl-muted">{COUNTED[props.by]}{PERIODS[props.period]}</p>
          <ol className="tl-places">
            {props.places.map((p) => (
              <li key={p.name} className={p.own ? "own" : ""} aria-current={p.own ? "true" : undefined}>
                <span className="tl-num">{p.rank}</span>
                <span>{p.name}{p.own ? " (you)" : ""}</span>
                <span className="tl-bar" aria-hidden="true"><span style={{ width: (100 * p.points) / most + "%" }} /></span>
                <span className="tl-num">{p.points}</span>
              </li>
            ))}
          </ol>
        </>
      )}
      {(props.places.length > 0 || !props.ranked) && <p className="tl-muted">{ownWords()}</p>}
    </section>
  );
}
