import { Button, Group, Modal, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, send } from "@/api/client";
import { notifyError } from "@/components/notify";
import { type AgentChange, possible } from "./changes";
import type { Agent } from "./fold";

/** What can be done with an agent in this moment. */
export interface AgentActions {
  readonly canStart: boolean;
  readonly canStop: boolean;
  readonly canPause: boolean;
  /** Whether it is on its way from one to the other. */
  readonly isBusy: boolean;
  start(): void;
  stop(): void;
  pause(): void;
  /** Stops it and starts it again, for what is in force from the next start on. */
  restart(): void;
  /** What has to be asked first; drawn somewhere on the page. */
  readonly dialog: ReactNode;
}

const DONE: Record<AgentChange, string> = {
  start: "started",
  stop: "stopped",
  pause: "paused",
  restart: "restarted",
};

/** How often a stop is waited for before a restart is given up; each time takes ten seconds. */
const STOP_WAITS_MAX = 12;

/** Starting, stopping and pausing an agent; what runs is only ended after a question. */
export function useAgentActions(agent: Agent): AgentActions {
  const { name, phase, slots } = agent;
  const [asked, setAsked] = useState<"stop" | "restart" | null>(null);
  // One for all: a long list has it in every row.
  const change = useMutation({
    mutationFn: (to: AgentChange) => apply(name, to),
    onError: (error, to) => notifyError(`${name} was not ${DONE[to]}`, error),
    onSettled: () => setAsked(null),
  });
  const askFirst = (to: "stop" | "restart") =>
    slots.active > 0 ? setAsked(to) : change.mutate(to);
  return {
    ...possible(agent),
    isBusy: change.isPending || phase === "starting" || phase === "stopping",
    start: () => change.mutate("start"),
    stop: () => askFirst("stop"),
    pause: () => change.mutate("pause"),
    restart: () => askFirst("restart"),
    // Most rows of a list never ask.
    dialog: asked && (
      <Modal
        opened
        onClose={() => setAsked(null)}
        title={`${asked === "stop" ? "Stop" : "Restart"} ${name}`}
        // A click in it is none on the row around.
        onClick={(event) => event.stopPropagation()}
      >
        <Stack>
          <p>
            {slots.active === 1 ? "1 run is" : `${slots.active} runs are`} ended. What waits keeps
            its place and goes on when the agent is started again.
          </p>
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setAsked(null)}>
              Cancel
            </Button>
            <Button
              color="danger"
              loading={change.isPending}
              onClick={() => change.mutate(asked)}
              data-autofocus
            >
              {asked === "stop" ? "Stop" : "Restart"} and end runs
            </Button>
          </Group>
        </Stack>
      </Modal>
    ),
  };
}

async function apply(name: string, to: AgentChange) {
  const params = { path: { name }, query: { wait_ms: 0 } };
  switch (to) {
    case "start":
      return send(api.POST("/api/agents/{name}/start", { params }));
    case "stop":
      return send(api.POST("/api/agents/{name}/stop", { params }));
    case "pause":
      return send(api.POST("/api/agents/{name}/pause", { params }));
    case "restart":
      await untilStopped(name);
      return send(api.POST("/api/agents/{name}/start", { params }));
  }
}

/** Stops an agent; each request is answered once it has stopped, or by the longest time it may take. */
async function untilStopped(name: string) {
  const params = { path: { name } };
  for (let waits = 1; ; waits += 1) {
    const { phase } = await send(api.POST("/api/agents/{name}/stop", { params }));
    if (phase !== "stopping" || waits === STOP_WAITS_MAX) return;
  }
}
