import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { CopyButton } from "@/components/copy-button";
import { Cost } from "@/components/cost";
import { Duration } from "@/components/duration";
import { Time } from "@/components/time";
import { triggerText } from "@/features/executions/columns";
import type { Execution } from "@/features/executions/fold";
import { formatCount, formatShortCount } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import classes from "./execution.module.css";

/** What is known of an execution, a fact after another; those that say nothing are left out. */
export function Facts({ execution }: { execution: Execution }) {
  const { claude_session_id: session, parent_execution_id: parent, context_max } = execution;
  const facts: (readonly [string, ReactNode])[] = [
    [
      "Agent",
      <Link key="agent" to="/agents/$name" params={{ name: execution.agent_name }}>
        {execution.agent_name}
      </Link>,
    ],
    ["Trigger", triggerText(execution)],
    ["Model", plainText(execution.model_used ?? execution.model ?? "–")],
    ["Created", <Time key="created" at={execution.created_at} />],
    ["Started", execution.started_at && <Time key="started" at={execution.started_at} />],
    ["Ended", execution.completed_at && <Time key="ended" at={execution.completed_at} />],
    [
      "Duration",
      <Duration
        key="duration"
        ms={execution.duration_ms ?? null}
        since={execution.completed_at ? null : (execution.started_at ?? null)}
      />,
    ],
    ["Cost", <Cost key="cost" dollars={execution.cost ?? null} />],
    ["Tokens", tokens(execution)],
    ["Turns", execution.num_turns],
    ["Tool calls", formatCount(execution.tool_call_count)],
    ["Context", context_max ? contextText(execution) : null],
    ["Slot", slotText(execution)],
    ["Exit", exitText(execution)],
    ["Session", session && <Id key="session" id={session} label="Copy the session" />],
    [
      "Parent",
      parent && (
        <Link key="parent" to="/executions/$id" params={{ id: parent }}>
          …{parent.slice(-8)}
        </Link>
      ),
    ],
    ["Tags", execution.tags.length > 0 ? plainText(execution.tags.join(", ")) : null],
    ["Id", <Id key="id" id={execution.id} label="Copy the id" />],
  ];
  return (
    <dl className={classes.facts}>
      {facts.map(
        ([label, value]) =>
          value !== null &&
          value !== undefined &&
          value !== "" && (
            <div key={label} className={classes.fact}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

function Id({ id, label }: { id: string; label: string }) {
  return (
    <span className={classes.id} title={id}>
      …{plainText(id.slice(-8))}
      <CopyButton text={id} label={label} />
    </span>
  );
}

function tokens({ usage }: Execution): ReactNode {
  if (!usage) return null;
  const { input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens } = usage;
  const cached = cache_read_tokens + cache_creation_tokens;
  const all = `${formatCount(input_tokens)} in, ${formatCount(output_tokens)} out, ${formatCount(cached)} cached`;
  return <span title={all}>{formatShortCount(input_tokens + output_tokens + cached)}</span>;
}

function contextText({ context_used, context_max }: Execution): string | null {
  if (!context_used || !context_max) return null;
  return `${Math.round((context_used / context_max) * 100)} % of ${formatShortCount(context_max)}`;
}

function slotText({ slot, epoch }: Execution): string | null {
  if (slot === null || slot === undefined) return null;
  return epoch ? `${slot}, epoch ${epoch}` : String(slot);
}

function exitText({ exit_code, exit_signal }: Execution): string | null {
  if (exit_signal) return `signal ${exit_signal}`;
  return exit_code === null || exit_code === undefined ? null : `code ${exit_code}`;
}
