import type { ReactNode } from "react";
import type { Execution } from "@/features/executions/fold";
import { formatDuration } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import classes from "./execution.module.css";
import { ClippedText } from "./log/clipped-text";

/** What an execution was given, and what came of it, whole. */
export function InputOutput({ execution }: { execution: Execution }) {
  const { message, response, error, status } = execution;
  const isOpen = status === "pending" || status === "running";
  return (
    <div className={classes.io}>
      <section>
        <h2>Task</h2>
        <Whole text={message} name="task" />
      </section>
      <section>
        <h2>Options</h2>
        <Options execution={execution} />
      </section>
      <section>
        <h2>Response</h2>
        {response ? (
          <Whole text={response} name="response" />
        ) : (
          <p className={classes.dim}>{isOpen ? "Not there yet" : "None"}</p>
        )}
      </section>
      {error && (
        <section>
          <h2>Error</h2>
          <Whole text={error} name="error" />
        </section>
      )}
    </div>
  );
}

function Whole({ text, name }: { text: string; name: string }) {
  return (
    <div className={classes.box}>
      <ClippedText text={text} name={name} canCopy />
    </div>
  );
}

function Options({ execution }: { execution: Execution }) {
  const { timeout_seconds, allowed_tools, max_turns, model, resume_session_id } = execution;
  const options: (readonly [string, ReactNode])[] = [
    ["Model", model ? plainText(model) : "the agent's"],
    ["Time limit", timeout_seconds ? formatDuration(timeout_seconds * 1_000) : "the agent's"],
    ["Tools", allowed_tools ? plainText(allowed_tools.join(", ")) || "none" : "the agent's"],
    ["Turns", max_turns ?? "any number"],
    ["Resumes", resume_session_id ? plainText(resume_session_id) : "no session"],
  ];
  return (
    <dl>
      {options.map(([label, value]) => (
        <div key={label} style={{ display: "contents" }}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
