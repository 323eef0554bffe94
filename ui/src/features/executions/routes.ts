import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { appRoute } from "@/app/routes";
import { executionSearch } from "./search";

/** What stands above the list, one execution, and the comparison of two. */
export const executionsSection = createRoute({
  getParentRoute: () => appRoute,
  path: "/executions",
  staticData: { crumb: () => "Executions" },
});

/** The executions of all agents. */
export const executionsRoute = createRoute({
  getParentRoute: () => executionsSection,
  path: "/",
  validateSearch: executionSearch,
  component: lazyRouteComponent(() => import("./executions-page"), "ExecutionsPage"),
});
