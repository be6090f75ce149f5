import { useEffect, useRef, useSyncExternalStore } from "react";

const INDENT = { python: "    ", java: "    ", c: "    ", cpp: "    ", rust: "    ", go: "\t" };

const STOPPABLE = ["run", "submit", "try", "coach"];

function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part, i) => {
    if (part.startsWith("`")) return <code key={i}>{part.slice(1, -1)}</code>;
    if (part.startsWith("**")) return <strong key={i}>{part.slice(2, -2)}</strong>;
    return part;
  });
}

function Award() {
  return (
    <svg className="tl-award" viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="12" cy="8" r="6" /><path d="M15.5 12.9 17 22l-5-3-5 3 1.5-9.1" />
    </svg>
  );
}

function Failing({ failing }) {
  return (
    <div>
      <h4>Case {failing.number}{failing.hidden ? " (was hidden)" : ""}</h4>
      <dl className="tl-diff">
        <dt>Input</dt><dd><code style={{ whiteSpace: "pre-wrap" }}>{failing.input}</code></dd>
        <dt>Expected</dt><dd><code style={{ whiteSpace: "pre-wrap" }}>{failing.expected}</code></dd>
        <dt>Got</dt><dd>{failing.error ? <span className="tl-bad">{failing.error}</span> : <code style={{ whiteSpace: "pre-wrap" }}>{failing.got}</code>}</dd>
        {failing.stdout && <><dt>Printed</dt><dd><pre className="tl-pre">{failing.stdout}</pre></dd></>}
      </dl>
      {failing.trace.length > 0 && <pre className="tl-pre">{failing.trace.join("\n")}</pre>}
    </div>
  );
}

// The page may mount a card anew at any time, and an answer to the old mount must reach the new one: what a card knows
// is kept beside the page, and its drafts outlive a reload. The server stores the rest with the message.
const DRAFT = "tooloo.draft." + props.startedId;
const cards = (window.tooLooCards = window.tooLooCards || {});
const card = (cards[props.startedId] = cards[props.startedId] || {
  state: {
    language: props.language, drafts: { ...props.drafts, ...stored() }, hints: props.hints, status: props.status,
    result: props.result || null, ran: props.ran || false, revealed: props.revealed || null, coached: props.coached || null, badges: props.badges || [], busy: "", error: "",
    own: props.own || {}, tried: props.tried || null, ownOpen: !!props.tried,
  },
  watchers: new Set(),
  fresh: false, // its result has just come
});

function change(changes) {
  card.state = { ...card.state, ...changes };
  for (const watcher of card.watchers) watcher();
}

function watch(watcher) {
  card.watchers.add(watcher);
  return () => card.watchers.delete(watcher);
}

function Standing({ of }) {
  return (
    <>
      {of.mastery && <div><dt>Mastery of {of.mastery.title}</dt><dd>{of.mastery.before} → {of.mastery.after}</dd></div>}
      {of.mastery && <div><dt>Due again</dt><dd>{of.dueAt ? window.tooLooDay(of.dueAt) : "once this one is over"}</dd></div>}
    </>
  );
}

function Result({ result, ran }) {
  const place = useRef(null);
  const good = result.verdict === "passed";
  useEffect(() => {
    if (!card.fresh) return;
    card.fresh = false;
    place.current.scrollIntoView({ block: "center", behavior: "smooth" });
    place.current.focus({ preventScroll: true });
  }, [result]);
  return (
    <div className="tl-result" role="status" tabIndex={-1} ref={place} data-testid="result">
      <h3 className={good ? "tl-good" : "tl-bad"} style={{ whiteSpace: "pre-wrap" }}>{result.message}</h3>
      {ran && <p className="tl-muted">These were the examples only. Submit runs all cases and counts.</p>}
      {result.cases.length > 0 && (
        <ul className="tl-cases" aria-label="Cases">
          {result.cases.map((c) => (
            <li key={c.number} className={"tl-case " + (c.passed ? "ok" : "no")}
              title={(c.passed ? "passed" : "failed") + (c.ms === null ? "" : `, ${c.ms} ms`)}
              aria-label={`Case ${c.number} ${c.passed ? "passed" : "failed"}`} role="listitem">{c.number}</li>
          ))}
        </ul>
      )}
      {result.firstFailing && <Failing failing={result.firstFailing} />}
      {result.stderr && <><h4>Printed to the standard error output, in all examples</h4><pre className="tl-pre" tabIndex={0}>{result.stderr}</pre></>}
      {result.feedback && <p>{inline(result.feedback)}</p>}
      <dl className="tl-facts">
        <div><dt>Time</dt><dd>{result.wallMs} ms</dd></div>
        {result.score !== undefined && <div><dt>Score</dt><dd>{result.score} of 100</dd></div>}
        <Standing of={result} />
      </dl>
      {result.mastery && <p className="tl-muted">Mastery: {result.mastery.why}.</p>}
      {result.scoreParts && (
        <details className="tl-parts">
          <summary>How the score came about</summary>
          <table>
            <tbody>
              {result.scoreParts.map((part) => (
                <tr key={part.name}><th scope="row">{window.tooLooParts[part.name] || part.name}</th><td className="tl-num">{part.points} of {part.most}</td><td>{part.why}</td></tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </div>
  );
}

const ENDED = {
  ok: "It ended.", error: "It ended with an error.", compile_error: "It could not be loaded.",
  timeout: "It did not end in time, and was stopped.", killed: "It was stopped at a limit of memory, time or output.",
  infrastructure_error: "It could not be started here; this is not your mistake. Try again in a moment.",
};

function Tried({ run }) {
  return (
    <div role="status" data-testid="tried">
      <p className={run.status === "ok" ? undefined : "tl-bad"}>{ENDED[run.status]} <span className="tl-muted">{run.wallMs} ms{run.isolated ? "" : ", without isolation"}</span></p>
      <dl className="tl-diff">
        {run.value !== null && <><dt>Result</dt><dd><code style={{ whiteSpace: "pre-wrap" }}>{run.value}</code></dd></>}
        {run.stdout && <><dt>Printed</dt><dd><pre className="tl-pre" tabIndex={0}>{run.stdout}</pre></dd></>}
        {run.stderr && <><dt>Errors</dt><dd><pre className="tl-pre" tabIndex={0}>{run.stderr}</pre></dd></>}
      </dl>
    </div>
  );
}

function OwnInput({ own, tried, open, busy, over, onRun }) {
  const write = (name, text) => change({ own: { ...card.state.own, [name]: text } });

  function onKeyDown(event, block) {
    if (event.key !== "Enter" || (block && !event.ctrlKey && !event.metaKey)) return;
    event.preventDefault();
    if (!busy && !over) onRun();
  }

  return (
    <details className="tl-own" data-testid="own-input" open={open}
      onToggle={(e) => e.currentTarget.open !== open && change({ ownOpen: e.currentTarget.open })}>
      <summary>Run it on your own input</summary>
      {props.inputs.map((field) => {
        const id = "own-" + props.startedId + field.name;
        const text = own[field.name] ?? field.text;
        const known = { id, value: text, spellCheck: false, autoCapitalize: "off", autoComplete: "off", className: "tl-input", onChange: (e) => write(field.name, e.target.value), onKeyDown: (e) => onKeyDown(e, field.block) };
        return (
          <div className="tl-field" key={field.name}>
            <label htmlFor={id}><code>{field.name}</code> <span className="tl-muted">{field.what}</span></label>
            {field.block ? <textarea {...known} rows={Math.min(10, Math.max(3, text.split("\n").length))} /> : <input {...known} />}
          </div>
        );
      })}
      <div className="tl-actions">
        <button className="tl-btn" disabled={!!busy || over} onClick={onRun}>{busy === "try" ? "Running …" : "Run on this input"}</button>
      </div>
      {tried && <Tried run={tried} />}
    </details>
  );
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT)) || {};
  } catch {
    return {};
  }
}

export default function ChallengeCard() {
  const { language, drafts, hints, status, result, ran, revealed, coached, badges, busy, error, own, tried, ownOpen } = useSyncExternalStore(watch, () => card.state);
  const spoken = props.languages.find((l) => l.name === language) || props.languages[0];
  const code = drafts[spoken.name] ?? spoken.stub;
  const lines = code.split("\n").length;
  const material = props.material;
  const choices = material ? material.choices : [];
  const asksAnswer = props.kind === "predict" || props.kind === "read";
  const over = status !== "open" && status !== "passed";

  function write(text) {
    const next = { ...drafts, [spoken.name]: text };
    change({ drafts: next });
    try {
      sessionStorage.setItem(DRAFT, JSON.stringify(next));
    } catch {
      return; // a full store loses drafts on reload, nothing else
    }
  }

  async function call(name, extra) {
    change({ busy: name, error: "", ...(name === "try" ? { tried: null } : {}) });
    try {
      const answer = await callAction({ name: "challenge_" + name, payload: { startedId: props.startedId, ...extra } });
      const response = answer.response || {};
      card.fresh = !!response.result;
      change(response); // the result, the hints, the status, or an error
    } catch {
      change({ error: "The server did not answer. Your code is still here; try again in a moment." });
    } finally {
      change({ busy: "" });
    }
  }

  const run = () => call("run", { code, language: spoken.name });
  const submit = () => call("submit", { code, language: spoken.name });
  const hint = () => call("hint", {});
  const tryOut = () => call("try", { code, language: spoken.name, input: own });
  const stop = () => callAction({ name: "challenge_stop", payload: { startedId: props.startedId } });
  const skip = () => call("skip", {});
  const reveal = () => call("reveal", {});
  const coach = () => call("coach", {});

  function onKeyDown(event) {
    const area = event.target;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!busy) submit();
      return;
    }
    if (event.key === "Escape") {
      area.dataset.leave = "1"; // Escape, then Tab, leaves the editor
      return;
    }
    if (event.key === "Tab" && !area.dataset.leave) {
      event.preventDefault();
      const { selectionStart: start, selectionEnd: end, value } = area;
      const indent = INDENT[spoken.name] || "  ";
      if (event.shiftKey) {
        const from = value.lastIndexOf("\n", start - 1) + 1;
        const spaces = value.slice(from).match(/^ */)[0].length;
        const cut = Math.min(spaces, indent.length);
        write(value.slice(0, from) + value.slice(from + cut));
        requestAnimationFrame(() => area.setSelectionRange(start - cut, end - cut));
      } else {
        write(value.slice(0, start) + indent + value.slice(end));
        requestAnimationFrame(() => area.setSelectionRange(start + indent.length, start + indent.length));
      }
      return;
    }
    if (event.key === "Enter") {
      const { selectionStart: start, selectionEnd: end, value } = area;
      const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
      const opens = /[:{([]\s*$/.test(line);
      const indent = line.match(/^\s*/)[0] + (opens ? INDENT[spoken.name] || "  " : "");
      if (indent) {
        event.preventDefault();
        write(value.slice(0, start) + "\n" + indent + value.slice(end));
        requestAnimationFrame(() => area.setSelectionRange(start + 1 + indent.length, start + 1 + indent.length));
      }
    }
    delete area.dataset.leave;
  }

  return (
    <section className="tl-card" aria-label={"Challenge: " + props.title} data-testid="challenge-card">
      <div className="tl-between">
        <h3>{props.title}</h3>
        <span className="tl-row">
          <span className="tl-tag">{props.concept}</span>
          <span className="tl-tag">{props.difficulty}</span>
          {props.isCheck && <span className="tl-tag">check: no help</span>}
        </span>
      </div>
      {props.statement.trim().split(/\n\n+/).map((paragraph, i) => <p key={i}>{inline(paragraph)}</p>)}
      {material && (
        <>
          <h4>{material.title}</h4>
          <pre className="tl-pre" tabIndex={0}>{material.text.trim()}</pre>
        </>
      )}
      {props.examples.length > 0 && <h4>{props.examples.length > 1 ? "Examples" : "Example"}</h4>}
      {props.examples.map((example, i) => (
        <dl className="tl-diff" key={i}>
          <dt>Input</dt><dd><code style={{ whiteSpace: "pre-wrap" }}>{example.input}</code></dd>
          <dt>Result</dt><dd><code style={{ whiteSpace: "pre-wrap" }}>{example.expected}</code></dd>
        </dl>
      ))}
      {choices.length > 0 ? (
        <div className="tl-choices" role="group" aria-label="Choices">
          {choices.map((choice) => (
            <button key={choice} className={"tl-choice" + (code === choice ? " chosen" : "")} disabled={!!busy || over || status === "passed"}
              aria-pressed={code === choice} onClick={() => write(choice)}><span style={{ whiteSpace: "pre-wrap" }}>{inline(choice)}</span></button>
          ))}
        </div>
      ) : (
        <div className="tl-editor">
          <div className="tl-editor-head">
            <code>{spoken.signature}</code>
            {props.languages.length > 1 && (
              <select className="tl-select" aria-label="Language" value={spoken.name} onChange={(e) => change({ language: e.target.value })}>
                {props.languages.map((l) => <option key={l.name} value={l.name}>{l.title}</option>)}
              </select>
            )}
          </div>
          <div className="tl-editor-body">
            <div className="tl-lines" aria-hidden="true">{Array.from({ length: lines }, (_, i) => i + 1).join("\n")}</div>
            <textarea aria-label={asksAnswer ? "Your answer" : "Your solution"} aria-describedby={"keys-" + props.startedId} value={code} spellCheck={false}
              autoCapitalize="off" autoComplete="off" rows={Math.max(asksAnswer ? 2 : 7, lines)} onKeyDown={onKeyDown}
              onChange={(e) => write(e.target.value)} />
          </div>
        </div>
      )}
      {choices.length === 0 && <p className="tl-muted" id={"keys-" + props.startedId}>Tab indents, Ctrl+Enter submits, Escape then Tab leaves the editor.</p>}
      {hints.map((text, i) => <p className="tl-hint" key={i}><span className="tl-muted">Hint {i + 1} of {props.hintsTotal}</span><br />{inline(text)}</p>)}
      <div className="tl-actions">
        <button className="tl-btn primary" disabled={!!busy || over} onClick={submit}>{busy === "submit" ? "Grading …" : "Submit"}</button>
        {!asksAnswer && <button className="tl-btn" disabled={!!busy || over} onClick={run}>{busy === "run" ? "Running …" : "Run"}</button>}
        {!props.isCheck && <button className="tl-btn" disabled={!!busy || hints.length >= props.hintsTotal || status !== "open"} onClick={hint}>Hint</button>}
        {!props.isCheck && result && !ran && status === "open" && (
          <button className="tl-btn" disabled={!!busy} onClick={coach}>{busy === "coach" ? "Looking at your code …" : "Ask the coach"}</button>
        )}
        {(hints.length >= props.hintsTotal || props.isCheck || (result && !ran)) && status === "open" && (
          <button className="tl-btn" disabled={!!busy} onClick={reveal}>Reveal</button>
        )}
        {STOPPABLE.includes(busy) && <button className="tl-btn tl-late" key={busy} onClick={stop}>Stop</button>}
        <button className="tl-btn tl-push" disabled={!!busy || status !== "open"} onClick={skip}>{status === "skipped" ? "Skipped" : "Skip"}</button>
        {status !== "open" && (props.sessionId
          ? <button className="tl-btn primary" onClick={() => sendUserMessage("/train next")}>Go on with the session</button>
          : <button className="tl-btn" onClick={() => sendUserMessage("next challenge")}>Next challenge</button>)}
      </div>
      {props.inputs && props.inputs.length > 0 && <OwnInput own={own} tried={tried} open={ownOpen} busy={busy} over={over} onRun={tryOut} />}
      {error && <p className="tl-bad" role="alert">{error}</p>}
      {result && <Result result={result} ran={ran} />}
      {badges.map((badge) => (
        <p key={badge.badgeId} className="tl-earned" role="status" data-testid="badge"><Award /> Badge earned: {badge.title}. <span className="tl-muted">{badge.description}</span></p>
      ))}
      {coached && (
        <div className="tl-hint" role="status" data-testid="coached">
          <span className="tl-muted">{coached.by === "model" ? "The coach, about your newest attempt" : coached.told ? "This is what your attempt shows" : "No model could be asked; this is what your attempt shows"}</span>
          {coached.observation && <p>{inline(coached.observation)}</p>}
          <p>{inline(coached.question)}</p>
          {coached.told && <span className="tl-muted">{coached.told}</span>}
          {coached.model && <span className="tl-muted">{coached.model} · {coached.cost} · counts as help</span>}
          {!coached.model && coached.cost && <span className="tl-muted"> It cost {coached.cost}.</span>}
        </div>
      )}
      {revealed && (
        <div role="status">
          <h4>A solution</h4>
          <pre className="tl-pre" tabIndex={0}>{revealed.solution.trim()}</pre>
          <p>{inline(revealed.explanation)}</p>
          <dl className="tl-facts"><Standing of={revealed} /></dl>
          <p className="tl-muted">One like it will come back, for you to solve alone.</p>
        </div>
      )}
    </section>
  );
}
