import { useState } from "react";

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function dayName(iso) {
  return `${MONTHS[Number(iso.slice(5, 7)) - 1]} ${Number(iso.slice(8))}`;
}

function tried(day) {
  return day.submitted + day.answered;
}

// One square a day, a column a week; the darker, the more was tried. A frozen day has a ring.
function Calendar({ days }) {
  const most = Math.max(4, ...days.map(tried));
  const size = 14, gap = 3, left = 38, top = 20;
  const weeks = Math.ceil(days.length / 7);
  const active = days.filter(tried).length;
  return (
    <svg className="tl-chart tl-calendar" viewBox={`0 0 ${left + weeks * (size + gap)} ${top + 7 * (size + gap)}`} role="img"
      aria-label={`Practice on ${active} of the last ${days.length} days. ` + days.filter((day) => tried(day) || day.frozen)
        .map((day) => `${dayName(day.day)}: ${day.frozen ? "frozen" : `${day.passed + day.correct} of ${tried(day)}`}`).join("; ")}>
      {WEEKDAYS.map((name, row) => row % 2 === 0 && <text key={name} x="0" y={top + row * (size + gap) + 11}>{name}</text>)}
      {days.map((day, i) => {
        const week = Math.floor(i / 7), row = i % 7;
        const level = tried(day) === 0 ? 0 : Math.max(1, Math.ceil((4 * tried(day)) / most));
        const starts = row === 0 && (week === 0 || days[i - 7].day.slice(5, 7) !== day.day.slice(5, 7)) && week < weeks - 1;
        return (
          <g key={day.day}>
            {starts && (week === 0 ? days[14] && days[14].day.slice(5, 7) === day.day.slice(5, 7) : true) &&
              <text x={left + week * (size + gap)} y="13">{MONTHS[Number(day.day.slice(5, 7)) - 1]}</text>}
            <rect className={"day l" + level + (day.frozen ? " frozen" : "")} x={left + week * (size + gap)} y={top + row * (size + gap)} width={size} height={size} rx="3">
              <title>{`${dayName(day.day)}: ${day.frozen ? "frozen" : `${day.passed + day.correct} right of ${tried(day)}`}`}</title>
            </rect>
          </g>
        );
      })}
    </svg>
  );
}

// Bars of what was right in front of all that was tried; each bar has { label, tried, right }.
function Bars({ bars, name, every = 1, height = 84 }) {
  const most = Math.max(4, ...bars.map((bar) => bar.tried));
  const width = 560, step = width / bars.length, pad = Math.min(5, step * 0.15);
  return (
    <svg className="tl-chart" viewBox={`0 0 ${width} ${height + 20}`} role="img"
      aria-label={`${name}. ` + bars.filter((bar) => bar.tried).map((bar) => `${bar.label}: ${bar.right} of ${bar.tried} right`).join("; ")}>
      {bars.map((bar, i) => {
        const all = (height * bar.tried) / most, right = (height * bar.right) / most;
        return (
          <g key={i}>
            <title>{`${bar.label}: ${bar.right} right of ${bar.tried}`}</title>
            <rect className="tried" x={i * step + pad} width={step - 2 * pad} y={height - Math.max(all, 1)} height={Math.max(all, 1)} rx="2" />
            <rect className="done" x={i * step + pad} width={step - 2 * pad} y={height - right} height={right} rx="2" />
            {i % every === 0 && <text x={i * step + step / 2} y={height + 15} textAnchor="middle">{bar.label}</text>}
          </g>
        );
      })}
    </svg>
  );
}

function Forecast({ days }) {
  const width = 560, height = 70, step = width / days.length;
  const most = Math.max(3, ...days.map((day) => day.due));
  const tall = (day) => Math.max(1, ((height - 18) * day.due) / most); // with room for its number above
  return (
    <svg className="tl-chart" viewBox={`0 0 ${width} ${height + 20}`} role="img"
      aria-label={"Due in the next 14 days. " + days.filter((day) => day.due).map((day) => `${dayName(day.day)}: ${day.due}`).join("; ")}>
      {days.map((day, i) => (
        <g key={day.day}>
          <title>{`${dayName(day.day)}: ${day.due} due`}</title>
          <rect className={i === 0 ? "due now" : "due"} x={i * step + 5} width={step - 10} y={height - tall(day)} height={tall(day)} rx="3" />
          {day.due > 0 && <text x={i * step + step / 2} y={height - tall(day) - 4} textAnchor="middle">{day.due}</text>}
          {i % 2 === 0 && <text x={i * step + step / 2} y={height + 15} textAnchor="middle">{i === 0 ? "today" : dayName(day.day)}</text>}
        </g>
      ))}
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

// A concept's mastery; pressed, it opens to every outcome behind the number.
function Concept({ of }) {
  const [outcomes, setOutcomes] = useState([]);
  const [page, setPage] = useState(null); // the newest answer: { nextCursor, earlier } or { error }
  const [open, setOpen] = useState(false);
  const [loading, setLoading] = useState(false);

  async function load(before) {
    setLoading(true);
    const answer = await callAction({ name: "mastery_behind", payload: { concept: of.concept, before } });
    const found = answer.response || { error: "This could not be loaded. Try again." };
    setOutcomes((shown) => [...shown, ...(found.items || [])]);
    setPage((last) => ({ ...last, error: null, ...found }));
    setLoading(false);
  }

  function toggle() {
    setOpen(!open);
    if (!open && outcomes.length === 0) load(null);
  }

  return (
    <div>
      <button className="tl-between tl-open" aria-expanded={open} onClick={toggle}>
        <strong>{of.title}</strong>
        <span className="tl-muted tl-num">{of.mastery} of 100 · {of.succeeded} of {of.tried} right{of.due ? ` · due ${of.due}` : ""}</span>
      </button>
      <div className="tl-bar" role="img" aria-label={`Mastery of ${of.title}: ${of.mastery} of 100`}><span style={{ width: of.mastery + "%" }} /></div>
      {open && (
        <div className="tl-behind" role="status" data-testid="behind">
          {outcomes.length > 0 && (
            <ul>
              {outcomes.map((one, i) => (
                <li key={i}>
                  <span className="tl-num">{window.tooLooDay(one.at)}</span>
                  <span className="tl-num">{one.before} → {one.after}</span>
                  <span>{one.challenge && <strong>{one.challenge}: </strong>}{one.why}</span>
                </li>
              ))}
            </ul>
          )}
          {loading && "Loading …"}
          {page && page.error && <span className="tl-bad">{page.error}</span>}
          {page && !page.error && outcomes.length === 0 && "Nothing has moved it yet."}
          {page && page.earlier > 0 && !loading && (
            <button className="tl-btn" onClick={() => load(page.nextCursor)}>Show earlier ones ({page.earlier})</button>
          )}
        </div>
      )}
    </div>
  );
}

function gapWords(points) {
  if (points > 0) return `A gap of ${points} points: help carries you further than you go alone yet. Checks without help close it.`;
  if (points < 0) return "No gap: you solve more alone than with help.";
  return "No gap: you solve as much alone as with help.";
}

function streakWords(streak) {
  const frozen = streak.frozen.length ? `Frozen: ${streak.frozen.map(dayName).join(", ")}. ` : "";
  return `${frozen}${streak.freezesLeft} of ${streak.freezesAMonth} freezes left this month. Longest: ${streak.longest}.`;
}

function Standing({ of }) {
  if (of.percentile === null) return null;
  return <div><dt>Ahead of</dt><dd className="tl-big">{of.percentile} %<span className="tl-muted"> of {of.n - 1} others</span></dd></div>;
}

export default function StatsChart() {
  const { streak, badges, next } = props;
  const weeks = props.weeks.map((week) => ({ label: dayName(week.monday), tried: week.tried, right: week.right }));
  const months = props.months.map((one) => ({ label: MONTHS[Number(one.month.slice(5)) - 1], tried: one.tried, right: one.right }));
  const hours = props.hours.map((hour) => ({ label: String(hour.hour), tried: hour.tried, right: hour.right }));
  return (
    <section className="tl-card" aria-label="Your progress" data-testid="stats-chart">
      <h3>Your progress</h3>
      <dl className="tl-facts">
        <div><dt>Challenges passed</dt><dd className="tl-big">{props.passed}</dd></div>
        {props.answered > 0 && <div><dt>Questions right</dt><dd className="tl-big">{props.correct} of {props.answered}</dd></div>}
        <div><dt>Days in a row</dt><dd className="tl-big">{streak.current}</dd></div>
        {props.averageScore !== null && <div><dt>Average score</dt><dd className="tl-big">{props.averageScore}</dd></div>}
        {props.gap !== null && <div data-testid="gap"><dt>Gap without help</dt><dd className="tl-big">{props.gap > 0 ? `${props.gap} points` : "none"}</dd></div>}
        <Standing of={props.standing} />
      </dl>
      <p className="tl-muted">{streakWords(streak)}</p>
      {next && <p className="tl-next" data-testid="next-step"><strong>Next: {next.title}.</strong> {next.reason[0].toUpperCase() + next.reason.slice(1)}.</p>}
      {(props.alone.ended > 0 || props.aided.ended > 0) && (
        <>
          <h4>Alone and with help</h4>
          <div className="tl-rows" style={{ marginTop: 0 }}>
            <Share title="Solved alone" of={props.alone} />
            <Share title="Solved with help" of={props.aided} />
          </div>
          {props.gap !== null && <p>{gapWords(props.gap)}</p>}
        </>
      )}
      {props.concepts.length > 0 && <h4>Mastery by concept</h4>}
      <div className="tl-rows" style={{ marginTop: 0 }}>
        {props.concepts.map((c) => <Concept key={c.concept} of={c} />)}
      </div>
      <h4>Due in the next 14 days</h4>
      <Forecast days={props.forecast} />
      <h4>The last 26 weeks</h4>
      <Calendar days={props.days} />
      <h4>By week: right, of all tried</h4>
      <Bars bars={weeks} name="Practice by week" every={2} />
      {props.months.filter((month) => month.tried).length > 1 && (
        <>
          <h4>By month: right, of all tried</h4>
          <Bars bars={months} name="Practice by month" />
        </>
      )}
      <h4>By hour of the day ({props.timezone})</h4>
      <Bars bars={hours} name="Practice by hour" every={3} height={56} />
      <h4>Badges: {badges.earned.length} of {badges.total}</h4>
      <ul className="tl-badges" aria-label="Earned badges">
        {badges.earned.slice(0, 6).map((b) => <li key={b.badgeId} className="tl-tag" title={b.description}>{b.title}</li>)}
      </ul>
      {badges.nearest.length > 0 && (
        <p className="tl-muted">Nearest: {badges.nearest.map((b) => `${b.title} (${b.percent} %)`).join(", ")}.</p>
      )}
    </section>
  );
}
