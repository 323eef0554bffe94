import { Button } from "@mantine/core";
import { IconAlertOctagon, IconLock } from "@tabler/icons-react";
import { ApiError } from "@/api/problem";
import { CopyButton } from "./copy-button";
import classes from "./notice.module.css";

/** Why a region could not be read, and the way to try again; the rest of the page goes on. */
export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { title, detail, requestId, isForbidden } = describe(error);
  const Icon = isForbidden ? IconLock : IconAlertOctagon;
  return (
    <div className={classes.notice} role="alert">
      <Icon
        className={classes.icon}
        data-tone={isForbidden ? "neutral" : "danger"}
        size={32}
        stroke={1.3}
        aria-hidden
      />
      <h2 className={classes.title}>{title}</h2>
      <p className={classes.text}>{detail}</p>
      {onRetry && !isForbidden && (
        <div className={classes.actions}>
          <Button variant="default" onClick={onRetry}>
            Retry
          </Button>
        </div>
      )}
      {requestId && (
        <span className={classes.request}>
          Request <code>{requestId}</code>
          <CopyButton text={requestId} label="Copy the request id" />
        </span>
      )}
    </div>
  );
}

function describe(error: unknown) {
  if (!(error instanceof ApiError)) {
    const detail = error instanceof Error ? error.message : String(error);
    return { title: "This part of the page failed", detail, requestId: null, isForbidden: false };
  }
  const isForbidden = error.status === 403;
  const scope = error.members.missing_scope;
  const detail = typeof scope === "string" ? `${error.detail} (${scope})` : error.detail;
  const title = isForbidden ? "Not allowed" : error.title;
  return { title, detail, requestId: error.requestId, isForbidden };
}
