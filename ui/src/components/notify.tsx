import { notifications } from "@mantine/notifications";
import { IconAlertOctagon, IconCircleCheck } from "@tabler/icons-react";
import { ApiError } from "@/api/problem";

/** Says in the corner that something was done. */
export function notifyDone(message: string) {
  notifications.show({
    message,
    icon: <IconCircleCheck size={18} aria-hidden />,
    color: "transparent",
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
    color: "transparent",
    autoClose: false,
  });
}
