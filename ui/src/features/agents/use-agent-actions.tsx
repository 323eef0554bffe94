import { Button, Group, Modal, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, send } from "@/api/client";
import { notifyError } from "@/components/notify";
import type { Agent } from "./fold";

/** What can be done with an agent in this moment. */
export interface AgentActions {
  readonly canStart: boolean;
  readonly canStop: boolean;
  /** Whether it is on its way from one to the other. */
  readonly isBusy: boolean;
  start(): void;
  stop(): void;
  /** What has to be asked first; drawn somewhere on the page. */
  readonly dialog: ReactNode;
}

const STARTABLE: ReadonlySet<Agent["phase"]> = new Set(["stopped", "failed", "paused"]);
const STOPPABLE: ReadonlySet<Agent["phase"]> = new Set([
  "running",
  "starting",
  "restarting",
  "paused",
]);

/** Starting and stopping an agent; what runs is only ended after a question. */
export function useAgentActions(agent: Agent): AgentActions {
  const { name, phase, slots } = agent;
  const [isAsking, setAsking] = useState(false);
  const params = { path: { name }, query: { wait_ms: 0 } };
  // One for both: a long list has it in every row.
  const change = useMutation({
    mutationFn: (to: "start" | "stop") =>
      send(
        to === "start"
          ? api.POST("/api/agents/{name}/start", { params })
          : api.POST("/api/agents/{name}/stop", { params }),
      ),
    onError: (error, to) =>
      notifyError(`${name} was not ${to === "start" ? "started" : "stopped"}`, error),
    onSettled: () => setAsking(false),
  });
  const isBusy = change.isPending || phase === "starting" || phase === "stopping";
  return {
    canStart: STARTABLE.has(phase),
    canStop: STOPPABLE.has(phase),
    isBusy,
    start: () => change.mutate("start"),
    stop: () => (slots.active > 0 ? setAsking(true) : change.mutate("stop")),
    // Most rows of a list never ask.
    dialog: isAsking && (
      <Modal
        opened
        onClose={() => setAsking(false)}
        title={`Stop ${name}`}
        // A click in it is none on the row around.
        onClick={(event) => event.stopPropagation()}
      >
        <Stack>
          <p>
            {slots.active === 1 ? "1 run is" : `${slots.active} runs are`} ended. What waits keeps
            its place and goes on when the agent is started again.
          </p>
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setAsking(false)}>
              Cancel
            </Button>
            <Button
              color="danger"
              loading={change.isPending}
              onClick={() => change.mutate("stop")}
              data-autofocus
            >
              Stop and end runs
            </Button>
          </Group>
        </Stack>
      </Modal>
    ),
  };
}
