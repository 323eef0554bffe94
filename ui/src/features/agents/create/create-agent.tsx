import {
  Button,
  Checkbox,
  Group,
  Modal,
  NativeSelect,
  Stack,
  Textarea,
  TextInput,
  UnstyledButton,
} from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, type Schemas, send } from "@/api/client";
import { ApiError, isRefusedAtField, refusals } from "@/api/problem";
import { FormError } from "@/components/form-error";
import { useRequestKeys } from "@/lib/request-key";
import { nameProblem } from "../agent-name";
import { templatesQuery } from "../template/queries";
import classes from "./create-agent.module.css";
import { bodyOf, EMPTY_FORM, type Form, withTemplate } from "./form";
import { TemplateChoice } from "./template-choice";

const RUNTIMES: readonly { value: Schemas["Agent"]["runtime"]; label: string }[] = [
  { value: "claude-code", label: "Claude Code" },
  { value: "gemini-cli", label: "Gemini CLI" },
  { value: "demo", label: "Demo: built in, needs no key" },
];

/** What the fields that a refusal can name are called by the API. */
const POINTERS = [
  "/name",
  "/template",
  "/runtime",
  "/model",
  "/custom_instructions",
  "/max_parallel_tasks",
  "/execution_timeout_seconds",
] as const;

interface CreateAgentProps {
  /** The names that are known to be taken. */
  taken: ReadonlySet<string>;
  onClose: () => void;
}

/** Asks what a new agent shall be, and creates it. */
export function CreateAgent({ taken, onClose }: CreateAgentProps) {
  const navigate = useNavigate();
  const keys = useRequestKeys();
  const [form, setForm] = useState(EMPTY_FORM);
  const templates = useQuery(templatesQuery);
  const chosen = templates.data?.value.find(({ id }) => id === form.template);
  const set = (change: Partial<Form>) => {
    setForm((before) => ({ ...before, ...change }));
    create.reset();
  };
  const create = useMutation({
    mutationFn: () => {
      const body = bodyOf(form);
      const params = {
        query: { start: form.start },
        header: { "Idempotency-Key": keys.keyOf([body, form.start]) },
      };
      return send(api.POST("/api/agents", { params, body }));
    },
    onSuccess: ({ name }) => {
      onClose();
      const isWanting = Object.keys(chosen?.manifest?.credentials ?? {}).length > 0;
      const to = isWanting ? "/agents/$name/settings/credentials" : "/agents/$name/overview";
      void navigate({ to, params: { name } });
    },
  });
  const problem = form.name === "" ? null : nameProblem(form.name, taken);
  const refused = refusedOf(create.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (form.name !== "" && problem === null && !create.isPending) create.mutate();
  };
  // What there is to choose does not move the fields once they are seen.
  if (templates.isPending) return null;
  return (
    <Modal opened onClose={onClose} title="Create an agent">
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
          <TextInput
            label="Name"
            description="It stands in addresses and on the command line, and does not change."
            placeholder="scout"
            autoComplete="off"
            spellCheck={false}
            data-autofocus
            value={form.name}
            onChange={(event) => set({ name: event.currentTarget.value })}
            error={
              problem ? (
                <>
                  {problem.detail}
                  {problem.suggestion !== null && (
                    <Suggestion name={problem.suggestion} onTake={(name) => set({ name })} />
                  )}
                </>
              ) : (
                refused["/name"]
              )
            }
          />
          {templates.isError ? (
            <FormError error={templates.error} />
          ) : (
            templates.data.value.length > 0 && (
              <TemplateChoice
                templates={templates.data.value}
                chosen={form.template}
                error={refused["/template"]}
                onChoose={(id, manifest) => set(withTemplate(form, id, manifest))}
              />
            )
          )}
          <NativeSelect
            label="Runtime"
            data={RUNTIMES.map((option) => ({ ...option }))}
            value={form.runtime}
            onChange={(event) => set({ runtime: event.currentTarget.value })}
            error={refused["/runtime"]}
          />
          <TextInput
            label="Model"
            placeholder="the CLI’s own default"
            autoComplete="off"
            spellCheck={false}
            value={form.model}
            onChange={(event) => set({ model: event.currentTarget.value })}
            error={refused["/model"]}
          />
          <Textarea
            label="Instructions"
            description={`CLAUDE.md or GEMINI.md of the new workspace${form.template && ", in place of the template’s"}.`}
            rows={4}
            value={form.instructions}
            onChange={(event) => set({ instructions: event.currentTarget.value })}
            error={refused["/custom_instructions"]}
          />
          <div className={classes.pair}>
            <TextInput
              label="Runs at once"
              type="number"
              min={1}
              max={32}
              value={form.capacity}
              onChange={(event) => set({ capacity: event.currentTarget.value })}
              error={refused["/max_parallel_tasks"]}
            />
            <TextInput
              label="Timeout, seconds"
              type="number"
              min={10}
              max={86_400}
              value={form.timeout}
              onChange={(event) => set({ timeout: event.currentTarget.value })}
              error={refused["/execution_timeout_seconds"]}
            />
          </div>
          <Checkbox
            label="Start it now"
            checked={form.start}
            onChange={(event) => set({ start: event.currentTarget.checked })}
          />
          <FormError error={isRefusedAtField(refused) ? null : create.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button
              type="submit"
              loading={create.isPending}
              disabled={form.name === "" || problem !== null}
            >
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function Suggestion({ name, onTake }: { name: string; onTake: (name: string) => void }) {
  return (
    <UnstyledButton className={classes.suggestion} onClick={() => onTake(name)}>
      Use <code>{name}</code>
    </UnstyledButton>
  );
}

/** What the server refused, at the fields that this form has. */
function refusedOf(error: Error | null): Partial<Record<(typeof POINTERS)[number], string>> {
  if (error instanceof ApiError && error.code === "already-exists")
    return { "/name": error.detail };
  return refusals(error, POINTERS);
}
