import { getRouteApi } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { HairlineProgress } from "@/components/hairline-progress";
import { NewRowsPill } from "@/components/new-rows-pill";
import { PageHeader } from "@/components/page-header";
import { ColumnsMenu, hiddenColumns } from "@/components/views/columns-menu";
import { savedViews } from "@/components/views/saved-views";
import { ViewsMenu } from "@/components/views/views-menu";
import { columns, FIXED_COLUMNS } from "./columns";
import { ExecutionsList } from "./executions-list";
import { FilterBar } from "./filter-bar";
import { MatchCount } from "./match-count";
import type { ExecutionSearch } from "./search";
import { StopMatching } from "./stop-matching";
import { useExecutionList } from "./use-execution-list";

const route = getRouteApi("/app/executions/");
const VIEWS = savedViews("executions");
const HIDDEN = hiddenColumns("executions", ["model"]);

/** The executions of all agents: filtered by the address, current without a reload. */
export function ExecutionsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const list = useExecutionList(search);
  const [isAtTop, setAtTop] = useState(true);
  const narrow = (change: Partial<ExecutionSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });

  // Whoever reads the newest rows sees more of them come; nobody else is moved.
  const { newCount, isStale, showNew } = list;
  useEffect(() => {
    if (isAtTop && newCount > 0 && !isStale) showNew();
  });
  return (
    <>
      <PageHeader
        title="Executions"
        aside={<MatchCount search={search} />}
        actions={
          <>
            <StopMatching search={search} />
            <ColumnsMenu columns={columns} fixed={FIXED_COLUMNS} hidden={HIDDEN} />
            <ViewsMenu
              views={VIEWS}
              search={search}
              onOpen={(view) => void navigate({ search: view.search as ExecutionSearch })}
            />
          </>
        }
      />
      <FilterBar search={search} onChange={narrow} />
      <HairlineProgress isActive={list.query.isFetching && !list.query.isPending} />
      <NewRowsPill count={isAtTop ? 0 : newCount} isStale={isStale} onShow={showNew} />
      <ExecutionsList
        key={JSON.stringify(search)}
        search={search}
        list={list}
        hidden={HIDDEN}
        onClear={() => void navigate({ search: {} as ExecutionSearch })}
        onAtTop={setAtTop}
      />
    </>
  );
}
