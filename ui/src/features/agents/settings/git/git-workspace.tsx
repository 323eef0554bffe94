import { Button } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, load, type Schemas, send } from "@/api/client";
import { keys } from "@/api/keys";
import { ErrorState } from "@/components/error-state";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import { Properties } from "@/components/properties";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { plainText } from "@/lib/plain-text";
import classes from "../settings.module.css";
import { CommitChanges } from "./commit-changes";
import own from "./git.module.css";
import { changeWord, standing } from "./git-words";

/** How many letters of a commit's name tell it from others. */
const COMMIT_SHOWN = 10;

function statusQuery(name: string) {
  return queryOptions({
    queryKey: keys.agents.git(name),
    queryFn: ({ signal }) =>
      load(api.GET("/api/agents/{name}/git/status", { params: { path: { name } }, signal })),
    // What runs do in the workspace is not in the log.
    staleTime: 0,
  });
}

/** What can be done with the workspace of an agent and its repository. */
type GitAction = "pull" | "push" | { readonly message: string };

/** How the workspace of a running agent differs from its repository, and the ways to change that. */
export function GitWorkspace({ name }: { name: string }) {
  const cache = useQueryClient();
  const query = useQuery(statusQuery(name));
  const [isCommitting, setCommitting] = useState(false);
  const act = useMutation({
    mutationFn: (action: GitAction) => send(request(name, action)),
    onSuccess: ({ changed }, action) => {
      setCommitting(false);
      notifyDone(wordOf(action, changed));
    },
    onSettled: () => cache.invalidateQueries({ queryKey: keys.agents.git(name) }),
  });
  const isDoing = (action: GitAction) => act.isPending && act.variables === action;
  const status = query.data?.value;
  return (
    <Section
      title="Workspace"
      actions={
        <span className={classes.actions}>
          <Button
            variant="subtle"
            size="xs"
            leftSection={<IconRefresh size={14} aria-hidden />}
            loading={query.isFetching}
            onClick={() => void query.refetch()}
          >
            Refresh
          </Button>
          <Button
            variant="default"
            size="xs"
            loading={isDoing("pull")}
            disabled={act.isPending}
            onClick={() => act.mutate("pull")}
          >
            Pull
          </Button>
          <Button
            variant="default"
            size="xs"
            disabled={act.isPending || !status || status.changes.length === 0}
            onClick={() => setCommitting(true)}
          >
            Commit…
          </Button>
          <Button
            variant="default"
            size="xs"
            loading={isDoing("push")}
            disabled={act.isPending || !status || status.commit === null}
            onClick={() => act.mutate("push")}
          >
            Push
          </Button>
        </span>
      }
    >
      {act.isError && !isCommitting && (
        <div className={classes.hint}>
          <FormError error={act.error} />
        </div>
      )}
      {query.isPending ? (
        <SkeletonRows rows={3} height={44} />
      ) : status ? (
        <Status status={status} />
      ) : (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      )}
      {act.data && act.data.output !== "" && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
        <section className={own.output} aria-label="What git said" tabIndex={0}>
          <pre>{plainText(act.data.output)}</pre>
        </section>
      )}
      {isCommitting && (
        <CommitChanges
          error={act.error}
          isPending={act.isPending}
          onCommit={(message) => act.mutate({ message })}
          onClose={() => {
            setCommitting(false);
            act.reset();
          }}
        />
      )}
    </Section>
  );
}

function request(name: string, action: GitAction) {
  const params = { path: { name } };
  if (action === "pull") return api.POST("/api/agents/{name}/git/pull", { params });
  if (action === "push") return api.POST("/api/agents/{name}/git/push", { params });
  return api.POST("/api/agents/{name}/git/commit", { params, body: action });
}

function wordOf(action: GitAction, changed: boolean): string {
  if (!changed) return "There was nothing to do";
  if (action === "pull") return "Pulled";
  return action === "push" ? "Pushed" : "Committed";
}

function Status({ status }: { status: Schemas["GitStatus"] }) {
  const { branch, commit, changes, has_more_changes } = status;
  return (
    <>
      <div className={own.facts}>
        <Properties
          items={[
            { name: "Branch", value: <bdi>{branch ?? "none is checked out"}</bdi> },
            { name: "Last commit", value: <code>{commit?.slice(0, COMMIT_SHOWN) ?? "–"}</code> },
            { name: "Repository", value: standing(status) },
          ]}
        />
      </div>
      {changes.length === 0 ? (
        <p className={own.none}>Nothing differs from the last commit.</p>
      ) : (
        <ul className={own.changes} aria-label="Changes">
          {changes.map(({ path, code }) => (
            <li key={path} className={own.change}>
              <bdi className={own.path}>{plainText(path)}</bdi>
              <span className={own.word}>{changeWord(code)}</span>
            </li>
          ))}
          {has_more_changes && <li className={own.change}>And more</li>}
        </ul>
      )}
    </>
  );
}
