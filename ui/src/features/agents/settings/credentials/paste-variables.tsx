import { Button, Group, Modal, Stack, Textarea } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { refusals } from "@/api/problem";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import type { CredentialsStatus } from "./credentials";
import { useCredentialsChange } from "./queries";

const POINTER = "/credentials_text";

interface PasteVariablesProps {
  agent: string;
  onDone: (status: CredentialsStatus) => void;
  onClose: () => void;
}

/** Sets many variables at once, as they stand in a file `.env`. */
export function PasteVariables({ agent, onDone, onClose }: PasteVariablesProps) {
  const [lines, setLines] = useState("");
  const set = useCredentialsChange(agent, (status) => {
    notifyDone(status.in_force ? "The variables are in force" : "The variables are kept");
    onDone(status);
    onClose();
  });
  const refused = refusals(set.error, [POINTER])[POINTER];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (lines.trim() !== "" && !set.isPending) set.mutate({ lines });
  };
  return (
    <Modal opened onClose={onClose} title="Paste variables">
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
          <Textarea
            label="Lines of .env"
            description="NAME=value, one in a line. Variables that are not among them stay."
            rows={8}
            autoComplete="off"
            spellCheck={false}
            data-autofocus
            value={lines}
            onChange={(event) => {
              setLines(event.currentTarget.value);
              set.reset();
            }}
            error={refused}
          />
          <FormError error={refused ? null : set.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={set.isPending} disabled={lines.trim() === ""}>
              Set them
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
