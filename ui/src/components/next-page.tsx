import { Button } from "@mantine/core";
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { ErrorState } from "./error-state";
import classes from "./next-page.module.css";

interface NextPageProps {
  query: Pick<
    UseInfiniteQueryResult,
    | "error"
    | "fetchNextPage"
    | "hasNextPage"
    | "isFetching"
    | "isFetchingNextPage"
    | "isFetchNextPageError"
  >;
  /** Whether the last page read has no rows: the server stops after looking at many that do not fit. */
  isLastEmpty: boolean;
}

/** The end of a list that is read page by page: what goes on there, or what has to be asked for. */
export function NextPage({ query, isLastEmpty }: NextPageProps) {
  const readOn = () => void query.fetchNextPage();
  if (query.isFetchNextPageError) return <ErrorState error={query.error} onRetry={readOn} />;
  // The table asks for more when it has grown; what may be long is looked through when somebody says so.
  // The button stays meanwhile, and keeps the focus.
  if (isLastEmpty && query.hasNextPage) {
    return (
      <p className={classes.foot} role="status">
        {query.isFetching ? "Looking further" : "Nothing more has been found so far"}
        <Button size="compact-xs" variant="default" onClick={() => !query.isFetching && readOn()}>
          Look further
        </Button>
      </p>
    );
  }
  return query.isFetchingNextPage ? <p className={classes.foot}>Loading more</p> : null;
}
