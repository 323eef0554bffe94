import { Notifications } from "@mantine/notifications";

/** Where messages appear; loaded after the page, which can be read without it. */
export function NotificationArea() {
  return <Notifications position="bottom-right" containerWidth={360} />;
}
