/** The keys of the cache, all of them here: what is read together begins with the same words. */
export const keys = {
  session: ["session"],
  setup: ["setup"],
  agents: {
    list: ["agents", "list"],
    latest: ["agents", "latest"],
    detail: (name: string) => ["agents", "detail", name],
    permissions: (name: string) => ["agents", "permissions", name],
    activities: (name: string, filter: object) => ["agents", "activities", name, filter],
    history: (name: string, span: string) => ["agents", "history", name, span],
    slotHistory: (name: string, span: string) => ["agents", "slot-history", name, span],
  },
  executions: {
    all: ["executions"],
    list: (filter: object) => ["executions", "list", filter],
    facets: (filter: object) => ["executions", "facets", filter],
    one: (id: string) => ["executions", "one", id],
    events: (id: string, types: string) => ["executions", "events", id, types],
    beside: (id: string) => ["executions", "beside", id],
    running: ["executions", "running"],
    history: (from: string) => ["executions", "history", from],
    failures: (from: string) => ["executions", "failures", from],
  },
  events: {
    list: (filter: object) => ["events", "list", filter],
    one: (position: number) => ["events", "one", position],
  },
  user: (id: string) => ["users", id],
  health: ["health"],
  system: ["system"],
} as const;
