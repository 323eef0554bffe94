import { Button, Group, Modal } from "@mantine/core";
import { IconPlayerStop } from "@tabler/icons-react";
import { useState } from "react";
import { useActions } from "@/app/actions/use-actions";
import type { Execution } from "@/features/executions/fold";
import { useStop } from "./use-stop";

/** Stops a run after a question; one that still waits is cancelled. */
export function StopButton({ execution }: { execution: Execution }) {
  const [isAsking, setAsking] = useState(false);
  const stop = useStop(execution);
  const isPending = execution.status === "pending";
  const word = isPending ? "Cancel" : "Stop";
  const ask = () => setAsking(true);
  useActions([
    { id: "execution.stop", label: `${word} this run`, group: "Execution", keys: "s", run: ask },
  ]);
  const confirm = () => {
    stop.mutate({ force: false });
    setAsking(false);
  };
  return (
    <>
      <Button
        size="xs"
        color="danger"
        leftSection={<IconPlayerStop size={14} aria-hidden />}
        loading={stop.isPending}
        onClick={ask}
      >
        {word}
      </Button>
      <Modal
        opened={isAsking}
        onClose={() => setAsking(false)}
        title={isPending ? "Cancel this execution?" : "Stop this run?"}
      >
        <p>
          {isPending
            ? "It leaves the queue, and nothing of it is run."
            : "It gets SIGINT and some time to end by itself; then it is killed. What it has printed stays."}
        </p>
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={() => setAsking(false)}>
            Let it run
          </Button>
          <Button color="danger" data-autofocus onClick={confirm}>
            {word}
          </Button>
        </Group>
      </Modal>
    </>
  );
}
