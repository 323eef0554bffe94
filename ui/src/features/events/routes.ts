import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { appRoute } from "@/app/routes";
import { eventSearch } from "./search";

/** The log. */
export const eventsRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/events",
  validateSearch: eventSearch,
  staticData: { crumb: () => "Events" },
  component: lazyRouteComponent(() => import("./events-page"), "EventsPage"),
});
