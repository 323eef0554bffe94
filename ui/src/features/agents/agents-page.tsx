import { Button } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { getRouteApi } from "@tanstack/react-router";
import { lazy, Suspense, useMemo, useState } from "react";
import { useActions } from "@/app/actions/use-actions";
import { HairlineProgress } from "@/components/hairline-progress";
import { PageHeader } from "@/components/page-header";
import { AgentsFilter } from "./agents-filter";
import { AgentsList } from "./agents-list";
import { type AgentSearch, fits, hasFilter } from "./search";
import { useAgents } from "./use-agents";

const CreateAgent = lazy(async () => ({
  default: (await import("./create/create-agent")).CreateAgent,
}));

const route = getRouteApi("/app/agents/");

/** The agents that one may see: filtered by the address, current without a reload. */
export function AgentsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const list = useAgents();
  const [isCreating, setCreating] = useState(false);
  const { query, agents } = list;
  const shown = useMemo(() => agents.filter((agent) => fits(search, agent)), [agents, search]);
  const narrow = (change: Partial<AgentSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const create = () => setCreating(true);
  useActions([
    {
      id: "agents.create",
      label: "Create an agent",
      group: "Agents",
      keys: "n",
      run: create,
    },
  ]);
  const isPartly = hasFilter(search) || query.hasNextPage;
  return (
    <>
      <PageHeader
        title="Agents"
        aside={
          query.data && (isPartly ? `${shown.length} of ${agents.length}` : `${agents.length}`)
        }
        actions={
          <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={create}>
            Create agent
          </Button>
        }
      />
      <AgentsFilter search={search} agents={agents} onChange={narrow} />
      <HairlineProgress isActive={query.isFetching && !query.isPending} />
      <AgentsList
        list={list}
        shown={shown}
        view={search.view ?? "table"}
        onCreate={create}
        onClear={() => narrow({ status: undefined, tag: undefined, q: undefined })}
        onOpen={(name) => void navigate({ to: "/agents/$name/overview", params: { name } })}
      />
      <Suspense>
        {isCreating && (
          <CreateAgent
            taken={new Set(agents.map(({ name }) => name))}
            onClose={() => setCreating(false)}
          />
        )}
      </Suspense>
    </>
  );
}
