import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { appRoute } from "@/app/routes";
import { executionSearch } from "./search";

/** The executions of all agents. */
export const executionsRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/executions",
  validateSearch: executionSearch,
  staticData: { crumb: () => "Executions" },
  component: lazyRouteComponent(() => import("./executions-page"), "ExecutionsPage"),
});
