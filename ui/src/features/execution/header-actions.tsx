import { ActionIcon, Button, Tooltip } from "@mantine/core";
import {
  IconArrowsDiff,
  IconChevronLeft,
  IconChevronRight,
  IconLink,
  IconRepeat,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useActions } from "@/app/actions/use-actions";
import { notifyDone, notifyError } from "@/components/notify";
import type { Execution } from "@/features/executions/fold";
import { useRerun } from "@/features/executions/use-rerun";
import { copyText } from "@/lib/clipboard";
import { useLiveHub } from "@/live/context";
import classes from "./execution.module.css";
import { besideQuery } from "./queries";
import { StopButton } from "./stop/stop-button";

const GROUP = "Execution";

/** What can be done with an execution. */
export function HeaderActions({ execution }: { execution: Execution }) {
  const hub = useLiveHub();
  const navigate = useNavigate();
  const { status, cancel_phase, id, parent_execution_id: parent } = execution;
  const isOpen = status === "pending" || status === "running";
  const beside = useQuery(besideQuery(execution, hub.recent.floor)).data;
  const go = (to: string | undefined) =>
    to && void navigate({ to: "/executions/$id", params: { id: to }, search: (before) => before });
  const rerun = useRerun();
  const again = () => rerun.mutate([execution]);
  const compare = () => void navigate({ to: "/executions/compare", search: { a: id } });
  const copyLink = () =>
    void copyText(globalThis.location.href).then(
      () => notifyDone("The link is copied"),
      (error: unknown) => notifyError("Not copied", error),
    );
  useActions([
    { id: "execution.link", label: "Copy the link", group: GROUP, keys: "y", run: copyLink },
    { id: "execution.rerun", label: "Run it again", group: GROUP, keys: "r", run: again },
    { id: "execution.compare", label: "Compare with another", group: GROUP, run: compare },
    {
      id: "execution.previous",
      label: "Previous run of this agent",
      group: GROUP,
      keys: "[",
      run: () => go(beside?.previous?.id),
    },
    {
      id: "execution.next",
      label: "Next run of this agent",
      group: GROUP,
      keys: "]",
      run: () => go(beside?.next?.id),
    },
    ...(parent
      ? [
          {
            id: "execution.parent",
            label: "Go to the parent",
            group: GROUP,
            keys: "p",
            run: () => go(parent),
          },
        ]
      : []),
  ]);
  return (
    <>
      {isOpen && !cancel_phase && <StopButton execution={execution} />}
      <Button
        size="xs"
        variant="default"
        leftSection={<IconRepeat size={14} aria-hidden />}
        loading={rerun.isPending}
        onClick={again}
      >
        Rerun
      </Button>
      <Button
        size="xs"
        variant="default"
        leftSection={<IconArrowsDiff size={14} aria-hidden />}
        renderRoot={(props) => <Link {...props} to="/executions/compare" search={{ a: id }} />}
      >
        Compare
      </Button>
      <Step label="Copy the link" onClick={copyLink}>
        <IconLink size={16} />
      </Step>
      <Step
        label="Previous run of this agent"
        isOff={!beside?.previous}
        onClick={() => go(beside?.previous?.id)}
      >
        <IconChevronLeft size={16} />
      </Step>
      <Step
        label="Next run of this agent"
        isOff={!beside?.next}
        onClick={() => go(beside?.next?.id)}
      >
        <IconChevronRight size={16} />
      </Step>
    </>
  );
}

function Step(props: { label: string; isOff?: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <Tooltip label={props.label}>
      <ActionIcon
        className={classes.step}
        size={30}
        aria-label={props.label}
        disabled={props.isOff}
        onClick={props.onClick}
      >
        {props.children}
      </ActionIcon>
    </Tooltip>
  );
}
