import { createRoute, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { appRoute } from "@/app/routes";
import { activitySearch } from "./activity/search";
import { filesSearch } from "./files/search";
import { agentSearch } from "./search";

/** What has to do with agents. */
export const agentsRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/agents",
  staticData: { crumb: () => "Agents" },
});

/** The list of them. */
const listRoute = createRoute({
  getParentRoute: () => agentsRoute,
  path: "/",
  validateSearch: agentSearch,
  component: lazyRouteComponent(() => import("./agents-page"), "AgentsPage"),
});

/** One agent: its header, and below it a part of its page. */
const agentRoute = createRoute({
  getParentRoute: () => agentsRoute,
  path: "$name",
  staticData: { crumb: ({ name }) => name ?? "" },
  component: lazyRouteComponent(() => import("./agent-page"), "AgentPage"),
});

const indexRoute = createRoute({
  getParentRoute: () => agentRoute,
  path: "/",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/agents/$name/overview", params });
  },
});

const overviewRoute = createRoute({
  getParentRoute: () => agentRoute,
  path: "overview",
  component: lazyRouteComponent(() => import("./overview/overview-page"), "OverviewPage"),
});

const tasksRoute = createRoute({
  getParentRoute: () => agentRoute,
  path: "tasks",
  component: lazyRouteComponent(() => import("./tasks/tasks-page"), "TasksPage"),
});

const activityRoute = createRoute({
  getParentRoute: () => agentRoute,
  path: "activity",
  validateSearch: activitySearch,
  component: lazyRouteComponent(() => import("./activity/activity-page"), "ActivityPage"),
});

const filesRoute = createRoute({
  getParentRoute: () => agentRoute,
  path: "files",
  validateSearch: filesSearch,
  component: lazyRouteComponent(() => import("./files/files-page"), "FilesPage"),
});

const logsRoute = createRoute({
  getParentRoute: () => agentRoute,
  path: "logs",
  component: lazyRouteComponent(() => import("./logs/logs-page"), "LogsPage"),
});

const settingsRoute = createRoute({
  getParentRoute: () => agentRoute,
  path: "settings",
  component: lazyRouteComponent(() => import("./settings/settings-page"), "SettingsPage"),
});

const generalRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "/",
  component: lazyRouteComponent(() => import("./settings/general/general-page"), "GeneralPage"),
});

const credentialsRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "credentials",
  component: lazyRouteComponent(
    () => import("./settings/credentials/credentials-page"),
    "CredentialsPage",
  ),
});

const skillsRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "skills",
  component: lazyRouteComponent(() => import("./settings/skills/skills-page"), "SkillsPage"),
});

const mcpRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "mcp-servers",
  component: lazyRouteComponent(() => import("./settings/mcp/mcp-page"), "McpPage"),
});

const gitRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "git",
  component: lazyRouteComponent(() => import("./settings/git/git-page"), "GitPage"),
});

const readOnlyRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "read-only",
  component: lazyRouteComponent(
    () => import("./settings/read-only/read-only-page"),
    "ReadOnlyPage",
  ),
});

const containerRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "container",
  component: lazyRouteComponent(
    () => import("./settings/container/container-page"),
    "ContainerPage",
  ),
});

const sharingRoute = createRoute({
  getParentRoute: () => settingsRoute,
  path: "sharing",
  component: lazyRouteComponent(() => import("./settings/sharing/sharing-page"), "SharingPage"),
});

/** The pages of agents, below `agentsRoute`. */
export const agentsTree = agentsRoute.addChildren([
  listRoute,
  agentRoute.addChildren([
    indexRoute,
    overviewRoute,
    tasksRoute,
    activityRoute,
    filesRoute,
    logsRoute,
    settingsRoute.addChildren([
      generalRoute,
      credentialsRoute,
      skillsRoute,
      mcpRoute,
      gitRoute,
      readOnlyRoute,
      containerRoute,
      sharingRoute,
    ]),
  ]),
]);
