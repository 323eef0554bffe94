import { type ErrorComponentProps, useRouter } from "@tanstack/react-router";
import { ErrorState } from "@/components/error-state";

/** What is shown when a route cannot be entered at all, such as while the server is away. */
export function RouteError({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  return (
    <main>
      <ErrorState error={error} onRetry={retry} />
    </main>
  );
}
