import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import * as v from "valibot";
import { executionsSection } from "@/features/executions/routes";

/** The tabs of an execution, in their order; the first one is that of an address without a tab. */
export const TABS = ["transcript", "timeline", "raw", "io", "events"] as const;

/** One of the tabs. */
export type Tab = (typeof TABS)[number];

const text = v.fallback(v.optional(v.string()), undefined);

/** One execution: which tab is shown, and what is looked for in its log. */
export const executionRoute = createRoute({
  getParentRoute: () => executionsSection,
  path: "$id",
  validateSearch: v.object({
    tab: v.fallback(v.optional(v.picklist(TABS)), undefined),
    q: text,
  }),
  staticData: { crumb: ({ id }) => id?.slice(-8) ?? "" },
  component: lazyRouteComponent(() => import("./execution-page"), "ExecutionPage"),
});

/** Two executions side by side. */
export const compareRoute = createRoute({
  getParentRoute: () => executionsSection,
  path: "compare",
  validateSearch: v.object({ a: text, b: text }),
  staticData: { crumb: () => "Compare" },
  component: lazyRouteComponent(() => import("./compare/compare-page"), "ComparePage"),
});
