import { IconCircle, IconCircleCheck } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { CommandLine } from "@/components/command-line";
import { Section } from "@/components/section";
import classes from "./first-steps.module.css";

interface FirstStepsProps {
  /** Whether there is an agent, and whether one was ever given a task; undefined before it is known. */
  hasAgent: boolean | undefined;
  hasRun: boolean | undefined;
}

/** The way to the first run, ticked as it happens; whoever has gone it before never sees it. */
export function FirstSteps({ hasAgent, hasRun }: FirstStepsProps) {
  const isKnown = hasAgent !== undefined && hasRun !== undefined;
  const isDone = hasAgent === true && hasRun === true;
  // It stays until the page is left, so that the last tick is seen.
  const [wasOpen, setWasOpen] = useState(false);
  if (isKnown && !isDone && !wasOpen) setWasOpen(true);
  if (!wasOpen) return null;
  return (
    <Section title={isDone ? "First steps: done" : "First steps"}>
      <ol className={classes.steps}>
        <Step
          isDone={hasAgent === true}
          title="Create an agent"
          command="trinity agent create scout --runtime demo"
        >
          An agent is a workspace of its own with a coding CLI in it; the runtime <code>demo</code>{" "}
          needs no key. <Link to="/agents">Create one here</Link>, or on a terminal:
        </Step>
        <Step
          isDone={hasRun === true}
          title="Give it a task"
          command='trinity run scout "Summarise the changelog"'
        >
          Its run appears below as it happens.
        </Step>
      </ol>
      <p className="visually-hidden" role="status">
        {isDone ? "Both steps are done" : hasAgent ? "An agent was created" : ""}
      </p>
    </Section>
  );
}

interface StepProps {
  isDone: boolean;
  title: string;
  command: string;
  children: ReactNode;
}

function Step({ isDone, title, command, children }: StepProps) {
  const Icon = isDone ? IconCircleCheck : IconCircle;
  return (
    <li className={classes.step} data-done={isDone || undefined}>
      <Icon className={classes.icon} size={20} stroke={1.7} aria-hidden />
      <div className={classes.text}>
        <h3>
          {title}
          {isDone && <span className="visually-hidden"> (done)</span>}
        </h3>
        <p className={classes.detail}>{children}</p>
        <CommandLine command={command} />
      </div>
    </li>
  );
}
