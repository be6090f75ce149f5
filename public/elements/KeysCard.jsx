import { useEffect, useState } from "react";

const NAMES = { anthropic: "Anthropic (Claude)", openai: "OpenAI", gemini: "Google (Gemini)", deepseek: "DeepSeek" };

function origin(row) {
  if (row.problem) return row.problem;
  if (row.source === "none") return "no key";
  const ending = row.ending ? ` ending in ${row.ending}` : "";
  return row.source === "stored" ? `stored here${ending}` : `from the environment${ending}`;
}

function readKeys(show) {
  callAction({ name: "keys_list", payload: {} }).then((answer) => {
    if (answer && answer.response && answer.response.keys) show(answer.response.keys);
  }).catch(() => {}); // the page says itself that the server is gone
}

function Provider({ row, onChanged }) {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState(null);

  async function send(name, payload, done) {
    setBusy(true);
    setSaid(null);
    const answer = await callAction({ name, payload: { provider: row.provider, ...payload } }).catch(() => null);
    const response = (answer && answer.response) || { error: "The server did not answer. Try again." };
    setBusy(false);
    if (answer) setKey("");
    setSaid(response.error ? { bad: true, text: response.error } : { bad: false, text: done(response) });
    if (response.keys) onChanged(response.keys);
    else readKeys(onChanged); // what is shown may be old: that may be why
  }

  function save(event) {
    event.preventDefault();
    if (key.trim()) send("keys_set", { key }, (response) => `It works: ${response.models} ${response.models === 1 ? "model" : "models"}. Stored encrypted, and in use.`);
  }

  const id = "tl-key-" + row.provider;
  return (
    <form className="tl-key" onSubmit={save} data-testid={"key-" + row.provider}>
      <div className="tl-between">
        <label htmlFor={id}><strong>{NAMES[row.provider] || row.provider}</strong></label>
        <span className={row.problem ? "tl-bad" : "tl-muted"}>{origin(row)}</span>
      </div>
      <div className="tl-key-row">
        <input id={id} className="tl-input" type="password" autoComplete="off" spellCheck={false} value={key} placeholder="Paste a key" onChange={(event) => setKey(event.target.value)} />
        <button className="tl-btn primary" type="submit" disabled={busy || !key.trim()}>{busy ? "Testing …" : "Test and save"}</button>
        {row.source === "stored" && <button className="tl-btn" type="button" disabled={busy} onClick={() => send("keys_remove", {}, () => "Removed.")}>Remove</button>}
      </div>
      {said && <p className={said.bad ? "tl-bad" : "tl-good"} role={said.bad ? "alert" : "status"}>{said.text}</p>}
    </form>
  );
}

export default function KeysCard() {
  const [rows, setRows] = useState(props.keys);
  useEffect(() => {
    // What this message was sent with may have changed since: here, in another chat, or on another server.
    readKeys(setRows);
  }, []);
  return (
    <section className="tl-card" aria-label="Keys of model providers" data-testid="keys-card">
      <h3>Keys of model providers</h3>
      {props.note && <p role="status">{props.note}</p>}
      <p className="tl-muted">A key is tested with its provider, stored encrypted on this server, and never shown again. It goes nowhere else: not into this chat, its history or a shared link.</p>
      <div className="tl-rows">
        {rows.map((row) => <Provider key={row.provider} row={row} onChanged={setRows} />)}
      </div>
    </section>
  );
}
