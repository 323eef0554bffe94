import { queryOptions, useMutation, useQuery } from "@tanstack/react-query";
import { api, load, send } from "@/api/client";
import { keys } from "@/api/keys";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { notifyDone, notifyError } from "@/components/notify";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { useAgent } from "../../use-agent";
import { LookingOnly } from "../owners-only";
import classes from "../settings.module.css";
import { SkillItem } from "./skill-item";
import { skillRows } from "./skills";

/** The skills of this server; folders that are not in the log, so they are read each time. */
const libraryQuery = queryOptions({
  queryKey: keys.library.skills,
  queryFn: ({ signal }) => load(api.GET("/api/skills/library", { signal })),
  staleTime: 0,
});

/** Which skills of the library an agent has; a running one gets or loses them at once. */
export function SkillsPage() {
  const agent = useAgent();
  const query = useQuery(libraryQuery);
  const set = useMutation({
    // One at a time, so that what somebody else attaches or detaches meanwhile stays.
    mutationFn: ({ name: skill, isAttached }: { name: string; isAttached: boolean }) => {
      const { name } = agent;
      return send(
        isAttached
          ? api.POST("/api/agents/{name}/skills", { params: { path: { name } }, body: { skill } })
          : api.DELETE("/api/agents/{name}/skills/{skill}", { params: { path: { name, skill } } }),
      );
    },
    onSuccess: (_, { name, isAttached }) =>
      notifyDone(isAttached ? `${agent.name} has ${name}` : `${agent.name} lost ${name}`),
    onError: (error, { name }) => notifyError(`Nothing was changed about ${name}`, error),
  });
  const library = query.data?.value;
  if (query.isPending) return <SkeletonRows rows={4} height={52} />;
  if (!library) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  const rows = skillRows(library, agent.skills);
  return (
    <>
      {!agent.can_share && <LookingOnly />}
      <Section title={`Skills, ${agent.skills.length} attached`}>
        {rows.length === 0 ? (
          <EmptyState title="The library is empty" command="trinity skill ls">
            A skill is a folder with a <code>SKILL.md</code> among the skills of the server. Agents
            that have it know what it says, and use it when a task calls for it.
          </EmptyState>
        ) : (
          <ul className={classes.rows}>
            {rows.map((skill) => (
              <SkillItem
                key={skill.name}
                skill={skill}
                isClosed={!agent.can_share || set.isPending}
                isPending={set.isPending && set.variables.name === skill.name}
                onToggle={(isAttached) => set.mutate({ name: skill.name, isAttached })}
              />
            ))}
          </ul>
        )}
      </Section>
    </>
  );
}
