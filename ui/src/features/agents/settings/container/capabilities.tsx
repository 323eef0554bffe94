import { Button, Group, Modal, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, send } from "@/api/client";
import { refusals } from "@/api/problem";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import { Section } from "@/components/section";
import type { AgentDetail } from "../../fold";
import { ifStill } from "../save";
import classes from "../settings.module.css";

const POINTER = "/full_capabilities";

/** Whether the runs of an agent may become root; asked once more before they may. */
export function Capabilities({ agent }: { agent: AgentDetail }) {
  const { full_capabilities: isRoot } = agent;
  const [isAsking, setAsking] = useState(false);
  const set = useMutation({
    mutationFn: (full_capabilities: boolean) =>
      send(
        api.PUT("/api/agents/{name}/capabilities", {
          params: ifStill(agent, `"v${agent.version}"`),
          body: { full_capabilities },
        }),
      ),
    onSuccess: ({ full_capabilities }) => {
      notifyDone(full_capabilities ? "Full capabilities allowed" : "Full capabilities taken back");
      setAsking(false);
    },
  });
  const refused = refusals(set.error, [POINTER])[POINTER];
  const error = refused === undefined ? set.error : new Error(refused);
  const close = () => {
    setAsking(false);
    set.reset();
  };
  return (
    <Section title="Full capabilities">
      <div className={classes.danger}>
        <div className={classes.subject}>
          {isRoot
            ? "Runs may become root inside of their container."
            : "Runs are an ordinary user of their container, and cannot become another."}
          {!isAsking && <FormError error={error} />}
        </div>
        <Button
          variant="default"
          loading={set.isPending && !isAsking}
          onClick={() => (isRoot ? set.mutate(false) : setAsking(true))}
        >
          {isRoot ? "Take back" : "Allow…"}
        </Button>
      </div>
      <Modal opened={isAsking} onClose={close} title={`Let ${agent.name} become root`}>
        <Stack>
          <p>
            Its runs may then install packages and change everything inside of their container, and
            so can whoever writes a task, or a text that misleads the agent. The container and its
            limits still hold, but there is less between it and the machine.
          </p>
          <FormError error={error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close} data-autofocus>
              Cancel
            </Button>
            <Button color="danger" loading={set.isPending} onClick={() => set.mutate(true)}>
              Allow
            </Button>
          </Group>
        </Stack>
      </Modal>
    </Section>
  );
}
