import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { type FormEvent, type ReactNode, useState } from "react";

interface ConfirmByNameProps {
  /** What is about to happen, such as `Delete scout`. */
  title: string;
  /** What has to be typed. */
  name: string;
  /** What will be gone. */
  children: ReactNode;
  /** The word on the button. */
  action: string;
  isOpen: boolean;
  isPending: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks for a name to be typed before something is done that cannot be undone. */
export function ConfirmByName(props: ConfirmByNameProps) {
  const { title, name, children, action, isOpen, isPending, onConfirm, onClose } = props;
  const [typed, setTyped] = useState("");
  const isRight = typed === name;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isRight) onConfirm();
  };
  const close = () => {
    setTyped("");
    onClose();
  };
  return (
    <Modal opened={isOpen} onClose={close} title={title}>
      <form onSubmit={submit}>
        <Stack>
          <div>{children}</div>
          <TextInput
            label={
              <>
                Type <code>{name}</code> to confirm
              </>
            }
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            data-autofocus
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" color="danger" disabled={!isRight} loading={isPending}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
