import { Button, Checkbox, TagsInput, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ApiError, refusals } from "@/api/problem";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import type { AgentDetail } from "../fold";
import { Conflict } from "./conflict";
import { BASE, changed, type Draft, edited, seen } from "./draft";
import { listOfText, textOfList, wordsOfText } from "./list-text";
import classes from "./settings.module.css";

/** Something that can be set of an agent, as a text. */
export interface Setting {
  readonly label: string;
  /** What it means; what a change does to runs, as far as the API says. */
  readonly hint: string;
  /** What the API calls it when it refuses a value. */
  readonly pointer: string;
  readonly kind: "number" | "text" | "switch" | "list";
  readonly placeholder?: string;
  readonly min?: number;
  readonly max?: number;
  readonly current: (agent: AgentDetail) => string;
  /** Saves a value if the agent still is of that version. */
  readonly save: (agent: AgentDetail, value: string, version: string) => Promise<unknown>;
}

interface SettingFormProps {
  agent: AgentDetail;
  setting: Setting;
}

/** One setting, saved by itself and never over a change that nobody has seen. */
export function SettingForm({ agent, setting }: SettingFormProps) {
  const { label, pointer } = setting;
  const current = setting.current(agent);
  const [draft, setDraft] = useState<Draft>(BASE);
  const value = draft.value ?? current;
  const conflict = changed(draft, current);
  const save = useMutation({
    mutationFn: (next: string) => setting.save(agent, next, `"v${agent.version}"`),
    onSuccess: () => {
      setDraft(BASE);
      notifyDone(`${label} saved`);
    },
  });
  const isOutdated = save.error instanceof ApiError && save.error.status === 412;
  const refused = refusals(save.error, [pointer])[pointer];
  const set = (next: string) => {
    setDraft((before) => edited(before, next, current));
    save.reset();
  };
  const isDirty = value !== current;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isDirty && conflict === null && !save.isPending) save.mutate(value);
  };
  return (
    <form className={classes.setting} onSubmit={submit} noValidate aria-label={label}>
      <div className={classes.field}>
        <Control setting={setting} value={value} refused={refused} onChange={set} />
        {conflict !== null && (
          <Conflict
            onTake={() => setDraft(BASE)}
            onKeep={() => setDraft((before) => seen(before, current))}
          >
            Somebody has set this to <strong>{wordsOfText(conflict) || "nothing"}</strong>{" "}
            meanwhile.
          </Conflict>
        )}
        {isOutdated && conflict === null && (
          <p className={classes.conflict} role="alert">
            The agent was changed at the same moment, and nothing was saved. Look at it, and save
            again.
          </p>
        )}
        <FormError error={refused || isOutdated ? null : save.error} />
      </div>
      <Button
        type="submit"
        variant="default"
        size="sm"
        disabled={!isDirty || conflict !== null}
        loading={save.isPending}
      >
        Save
      </Button>
    </form>
  );
}

interface ControlProps {
  setting: Setting;
  value: string;
  /** Why the server did not take it. */
  refused: string | undefined;
  onChange: (value: string) => void;
}

/** What a setting is written into. */
function Control({ setting, value, refused, onChange }: ControlProps) {
  const { label, hint, kind, min, max, placeholder } = setting;
  const common = { label, description: hint, placeholder, error: refused } as const;
  switch (kind) {
    case "switch":
      return (
        <Checkbox
          label={label}
          description={hint}
          error={refused}
          checked={value === "on"}
          onChange={(event) => onChange(event.currentTarget.checked ? "on" : "off")}
        />
      );
    case "list":
      return (
        <TagsInput
          {...common}
          placeholder={value === "" ? placeholder : undefined}
          acceptValueOnBlur
          value={listOfText(value)}
          onChange={(words) => onChange(textOfList(words))}
        />
      );
    default:
      return (
        <TextInput
          {...common}
          type={kind}
          min={min}
          max={max}
          autoComplete="off"
          spellCheck={false}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
  }
}
