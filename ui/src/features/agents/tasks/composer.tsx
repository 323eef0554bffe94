import { Button, Textarea, TextInput, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconPlayerPlay } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, type KeyboardEvent, useState } from "react";
import { api, type Schemas, send } from "@/api/client";
import { isRefusedAtField, refusals } from "@/api/problem";
import { FormError } from "@/components/form-error";
import { Kbd } from "@/components/kbd";
import { useRequestKeys } from "@/lib/request-key";
import type { AgentDetail } from "../fold";
import { executionLink } from "../links";
import { useAgentActions } from "../use-agent-actions";
import { EMPTY_TASK, TASK_POINTERS, type TaskForm, taskOf } from "./task";
import classes from "./tasks.module.css";

/** Writes a task and sends it; however often it is sent, it is one task. */
export function Composer({ agent }: { agent: AgentDetail }) {
  const keys = useRequestKeys();
  const [form, setForm] = useState(EMPTY_TASK);
  const [hasOptions, setOptions] = useState(false);
  const isRunning = agent.phase === "running";
  const submit = useMutation({
    mutationFn: async (task: TaskForm) => {
      const body = taskOf(task);
      const params = {
        path: { name: agent.name },
        header: { "Idempotency-Key": keys.keyOf(body) },
      };
      // Asked for at once, the answer is the one for a task that was taken.
      return (await send(
        api.POST("/api/agents/{name}/task", { params, body }),
      )) as Schemas["Taken"];
    },
    onSuccess: () => {
      keys.done();
      setForm((before) => ({ ...before, message: "" }));
    },
  });
  const set = (change: Partial<TaskForm>) => {
    setForm((before) => ({ ...before, ...change }));
    if (submit.isError) submit.reset();
  };
  const canSend = isRunning && form.message.trim() !== "";
  const sendNow = () => {
    if (canSend && !submit.isPending) submit.mutate(form);
  };
  const refused = refusals(submit.error, TASK_POINTERS);
  const isAtField = isRefusedAtField(refused);
  const isOpen = hasOptions || (isAtField && refused["/message"] === undefined);
  return (
    <form
      className={classes.composer}
      aria-label="New task"
      noValidate
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        sendNow();
      }}
      onKeyDown={(event: KeyboardEvent) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        sendNow();
      }}
    >
      {!isRunning && <NotRunning agent={agent} />}
      <Textarea
        id="message"
        label="Task"
        placeholder={`What shall ${agent.name} do?`}
        rows={3}
        value={form.message}
        onChange={(event) => set({ message: event.currentTarget.value })}
        error={refused["/message"]}
      />
      <div className={classes.options} hidden={!isOpen} id="task-options">
        <Options agent={agent} form={form} refused={refused} onChange={set} />
      </div>
      <FormError error={isAtField ? null : submit.error} />
      <div className={classes.foot}>
        <UnstyledButton
          className={classes.more}
          aria-expanded={isOpen}
          aria-controls="task-options"
          onClick={() => setOptions(!hasOptions)}
        >
          <IconChevronDown size={14} data-open={isOpen || undefined} aria-hidden />
          Options
        </UnstyledButton>
        <span role="status" className={classes.answer}>
          {submit.data && <Taken taken={submit.data} />}
        </span>
        <span className={classes.hint} aria-hidden>
          <Kbd keys="mod+Enter" />
        </span>
        <Button
          type="submit"
          size="sm"
          leftSection={<IconPlayerPlay size={14} aria-hidden />}
          disabled={!canSend}
          loading={submit.isPending}
        >
          Send
        </Button>
      </div>
    </form>
  );
}

interface OptionsProps {
  agent: AgentDetail;
  form: TaskForm;
  refused: Partial<Record<(typeof TASK_POINTERS)[number], string>>;
  onChange: (change: Partial<TaskForm>) => void;
}

function Options({ agent, form, refused, onChange }: OptionsProps) {
  return (
    <>
      <TextInput
        size="xs"
        label="Model"
        placeholder={agent.model ?? "the CLI’s own default"}
        autoComplete="off"
        spellCheck={false}
        value={form.model}
        onChange={(event) => onChange({ model: event.currentTarget.value })}
        error={refused["/model"]}
      />
      <TextInput
        size="xs"
        label="Timeout, seconds"
        type="number"
        min={1}
        max={agent.execution_timeout_seconds}
        placeholder={String(agent.execution_timeout_seconds)}
        value={form.timeout}
        onChange={(event) => onChange({ timeout: event.currentTarget.value })}
        error={refused["/timeout_seconds"]}
      />
      <TextInput
        size="xs"
        label="Turns at most"
        type="number"
        min={1}
        placeholder="no limit"
        value={form.turns}
        onChange={(event) => onChange({ turns: event.currentTarget.value })}
        error={refused["/max_turns"]}
      />
      <TextInput
        size="xs"
        label="Allowed tools, by commas"
        placeholder={agent.tools.join(", ") || "all"}
        autoComplete="off"
        spellCheck={false}
        value={form.tools}
        onChange={(event) => onChange({ tools: event.currentTarget.value })}
        error={refused["/allowed_tools"]}
      />
    </>
  );
}

/** What became of the last task: that it waits is no error. */
function Taken({ taken }: { taken: Schemas["Taken"] }) {
  return (
    <>
      {taken.status === "queued" ? `Queued, position ${taken.queue_position ?? 1}.` : "Sent."}{" "}
      <Link {...executionLink(taken.execution_id)}>Open the run</Link>
    </>
  );
}

function NotRunning({ agent }: { agent: AgentDetail }) {
  const actions = useAgentActions(agent);
  return (
    <p className={classes.notRunning}>
      <span>
        {agent.name} takes tasks while it runs; now it is {agent.phase}.
      </span>
      {actions.canStart && (
        <Button
          variant="default"
          size="compact-sm"
          loading={actions.isBusy}
          onClick={actions.start}
        >
          Start it
        </Button>
      )}
    </p>
  );
}
