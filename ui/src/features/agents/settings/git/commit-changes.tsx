import { Button, Group, Modal, Stack, Textarea } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { refusals } from "@/api/problem";
import { FormError } from "@/components/form-error";

const POINTER = "/message";

interface CommitChangesProps {
  error: Error | null;
  isPending: boolean;
  onCommit: (message: string) => void;
  onClose: () => void;
}

/** Asks what a commit says, and records everything that has changed. */
export function CommitChanges({ error, isPending, onCommit, onClose }: CommitChangesProps) {
  const [message, setMessage] = useState("");
  const refused = refusals(error, [POINTER])[POINTER];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (message.trim() !== "" && !isPending) onCommit(message);
  };
  return (
    <Modal opened onClose={onClose} title="Commit all changes">
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Textarea
            label="Message"
            description="Files that hold credentials are never committed."
            rows={4}
            data-autofocus
            value={message}
            onChange={(event) => setMessage(event.currentTarget.value)}
            error={refused}
          />
          <FormError error={refused ? null : error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={isPending} disabled={message.trim() === ""}>
              Commit
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
