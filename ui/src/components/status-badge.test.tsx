import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { requested } from "@/features/executions/fold";
import { request } from "@/test/events";
import { EXECUTION_STATUSES, executionLook } from "./status";
import { StatusBadge } from "./status-badge";

const execution = requested(request(1, "one"));

it("says every status by a shape and a word of its own", () => {
  const looks = EXECUTION_STATUSES.map((status) => executionLook({ ...execution, status }));
  expect(new Set(looks.map(({ word }) => word)).size).toBe(looks.length);
  expect(new Set(looks.map(({ icon }) => icon)).size).toBe(looks.length);
});

it("says in finer words why it waits, stops or failed", () => {
  const words = [
    executionLook({ ...execution, queue_position: 2 }),
    executionLook({ ...execution, status: "running", cancel_phase: "interrupting" }),
    executionLook({ ...execution, status: "failed", error_class: "timeout" }),
  ].map(({ word }) => word);
  expect(words).toEqual(["Queued #2", "Stopping 2/3", "Failed: timeout"]);
});

it("hides its icon from readers, who hear the word", () => {
  render(<StatusBadge look={executionLook(execution)} />);
  const badge = screen.getByText("Queued").parentElement;
  expect(badge?.querySelector("svg")?.getAttribute("aria-hidden")).toBe("true");
});
