import { Link } from "@tanstack/react-router";
import { EmptyState } from "@/components/empty-state";

/** What an address leads to that no page has. */
export function NotFound() {
  return (
    <main>
      <title>Not found · Trinity</title>
      <EmptyState
        title="There is no such page"
        order={1}
        actions={<Link to="/">Go to the first page</Link>}
      >
        The address may be mistyped, or the page may have moved.
      </EmptyState>
    </main>
  );
}
