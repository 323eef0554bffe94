import {
  IconHistory,
  IconLayoutDashboard,
  IconListDetails,
  IconRobot,
  IconServer2,
} from "@tabler/icons-react";
import type { LinkProps } from "@tanstack/react-router";

/** A page of the navigation. */
export interface NavItem {
  readonly label: string;
  readonly to: NonNullable<LinkProps["to"]>;
  readonly icon: typeof IconListDetails;
  /** The second key after `g`. */
  readonly key: string;
}

/** The navigation, in its order. */
export const NAV: readonly NavItem[] = [
  { label: "Dashboard", to: "/", icon: IconLayoutDashboard, key: "d" },
  { label: "Agents", to: "/agents", icon: IconRobot, key: "a" },
  { label: "Executions", to: "/executions", icon: IconListDetails, key: "e" },
  { label: "Events", to: "/events", icon: IconHistory, key: "v" },
  { label: "System", to: "/system", icon: IconServer2, key: "s" },
];
