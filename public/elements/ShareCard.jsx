import { useState } from "react";

export default function ShareCard() {
  const [state, setState] = useState(props.state);
  const [error, setError] = useState("");
  const [copied, setCopied] = useState(false);

  async function change(name) {
    setError("");
    const answer = await callAction({ name: "share_" + name, payload: { linkId: props.linkId } });
    const response = answer.response || {};
    if (response.error) return setError(response.error);
    setState(response.state);
    updateElement({ ...props, state: response.state, url: response.state === "revoked" ? "" : props.url });
  }

  async function copy() {
    await navigator.clipboard.writeText(props.url);
    setCopied(true);
  }

  const who = props.audience === "public" ? "Everybody who has the link" : "Everybody who is signed in here";
  return (
    <section className="tl-card" aria-label="Share this chat" data-testid="share-card">
      <h3>{state === "draft" ? "Preview before you share" : state === "published" ? "This chat is shared" : "The link is closed"}</h3>
      {state === "draft" && <p>{props.messages} messages as they are now, with paths, keys and addresses taken out. Only you can open it until you publish.</p>}
      {state === "published" && <p>{who} can read it until {props.expires}. What you write from now on is not in it.</p>}
      {state === "revoked" && <p>Nobody can open it any more. Make a new one with <code>/share</code>.</p>}
      {state !== "revoked" && <pre className="tl-pre" data-testid="share-url">{props.url}</pre>}
      <div className="tl-actions">
        {state === "draft" && <button className="tl-btn primary" onClick={() => change("publish")}>Publish</button>}
        {state !== "revoked" && <a className="tl-btn" href={props.url} target="_blank" rel="noopener noreferrer">{state === "draft" ? "Look at the preview" : "Open"}</a>}
        {state === "published" && <button className="tl-btn" onClick={copy}>{copied ? "Copied" : "Copy link"}</button>}
        {state !== "revoked" && <button className="tl-btn tl-push" onClick={() => change("revoke")}>{state === "draft" ? "Discard" : "Revoke"}</button>}
      </div>
      {error && <p className="tl-bad" role="alert">{error}</p>}
    </section>
  );
}
