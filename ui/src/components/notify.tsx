import { notifications } from "@mantine/notifications";
import { IconAlertOctagon, IconCircleCheck } from "@tabler/icons-react";
import { ApiError } from "@/api/problem";

/** What all messages look like: no colour but that of their icon. */
const LOOK = { color: "transparent", closeButtonProps: { "aria-label": "Close" } } as const;

/** Says in the corner that something was done. */
export function notifyDone(message: string) {
  notifications.show({
    message,
    icon: <IconCircleCheck size={18} aria-hidden />,
    ...LOOK,
  });
}

/** Says in the corner why something was not done; stays until it is read. */
export function notifyError(title: string, error: unknown) {
  const message = error instanceof Error ? error.message : String(error);
  const requestId = error instanceof ApiError ? error.requestId : null;
  notifications.show({
    title,
    message: requestId === null ? message : `${message} (request ${requestId})`,
    icon: <IconAlertOctagon size={18} color="var(--danger)" aria-hidden />,
    ...LOOK,
    autoClose: false,
  });
}
