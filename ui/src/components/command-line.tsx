import classes from "./command-line.module.css";
import { CopyButton } from "./copy-button";

/** A command to copy into a terminal. */
export function CommandLine({ command }: { command: string }) {
  return (
    <div className={classes.line}>
      <code className={classes.code}>
        <span className={classes.prompt} aria-hidden>
          ${" "}
        </span>
        {command}
      </code>
      <CopyButton text={command} label="Copy the command" />
    </div>
  );
}
