const SIGNS = { waiting: "○", running: "◐", completed: "●", failed: "✕" };

export default function WorkflowRun() {
  return (
    <section className="tl-card" aria-label={"Workflow: " + props.name} data-testid="workflow-run">
      <div className="tl-between">
        <h3>{props.name}</h3>
        <span className={props.status === "failed" ? "tl-bad" : props.status === "completed" ? "tl-good" : "tl-muted"}>{props.status}</span>
      </div>
      <ol className="tl-steps">
        {props.steps.map((step) => (
          <li key={step.id}>
            <span aria-hidden="true" className={step.status === "failed" ? "tl-bad" : step.status === "completed" ? "tl-good" : "tl-muted"}>{SIGNS[step.status] || "○"}</span>
            <span>{step.id}<span className="tl-sr">: {step.status}</span>{step.error && <span className="tl-bad"> {step.error}</span>}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
