import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, send } from "@/api/client";
import { EmptyState } from "@/components/empty-state";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import { Section } from "@/components/section";
import type { AgentDetail } from "../../fold";
import { useAgent } from "../../use-agent";
import { OwnersOnly } from "../owners-only";
import { ifStill } from "../save";
import { type Setting, SettingForm } from "../setting-form";
import classes from "../settings.module.css";
import { GitWorkspace } from "./git-workspace";

/** The repository that the workspace of an agent is synchronised with, and how far it is. */
export function GitPage() {
  const agent = useAgent();
  const { name, git_sync } = agent;
  return (
    <>
      <OwnersOnly agent={agent}>
        <Section title="Repository">
          <p className={classes.hint}>
            If it asks for a token, that is the credential <code>GIT_TOKEN</code>, set under{" "}
            <Link to="/agents/$name/settings/credentials" params={{ name }}>
              Credentials
            </Link>
            .
          </p>
          <SettingForm agent={agent} setting={REPOSITORY} />
          {git_sync !== null && <SettingForm agent={agent} setting={BRANCH} />}
          {git_sync !== null && <RemoveRepository agent={agent} />}
        </Section>
      </OwnersOnly>
      {git_sync !== null &&
        (agent.phase === "running" ? (
          <GitWorkspace key={`${git_sync.repository} ${git_sync.branch}`} name={name} />
        ) : (
          <Section title="Workspace">
            <EmptyState title={`${name} is ${agent.phase}`}>
              Its workspace can be compared with the repository while it runs.
            </EmptyState>
          </Section>
        ))}
    </>
  );
}

/** Takes the repository away; the workspace keeps what it has. */
function RemoveRepository({ agent }: { agent: AgentDetail }) {
  const remove = useMutation({
    mutationFn: () =>
      send(api.DELETE("/api/agents/{name}/git", { params: ifStill(agent, `"v${agent.version}"`) })),
    onSuccess: () => notifyDone("Repository removed"),
  });
  return (
    <div className={classes.danger}>
      <div className={classes.subject}>
        <p>Without it nothing is pulled or pushed any more. The workspace keeps its files.</p>
        <FormError error={remove.error} />
      </div>
      <Button variant="default" loading={remove.isPending} onClick={() => remove.mutate()}>
        Remove repository
      </Button>
    </div>
  );
}

const DEFAULT_BRANCH = "main";

function save(agent: AgentDetail, change: { repository?: string; branch?: string }, etag: string) {
  const { repository = "", branch = DEFAULT_BRANCH } = { ...agent.git_sync, ...change };
  const params = ifStill(agent, etag);
  return send(api.PUT("/api/agents/{name}/git", { params, body: { repository, branch } }));
}

const REPOSITORY: Setting = {
  label: "Address",
  hint: "The next start or pull clones it into a workspace that is no repository yet.",
  pointer: "/repository",
  kind: "text",
  placeholder: "https://example.com/team/notes.git",
  current: (agent) => agent.git_sync?.repository ?? "",
  save: (agent, value, version) => save(agent, { repository: value.trim() }, version),
};

const BRANCH: Setting = {
  label: "Branch",
  hint: "What is pulled from and pushed to.",
  pointer: "/branch",
  kind: "text",
  current: (agent) => agent.git_sync?.branch ?? "",
  save: (agent, value, version) => save(agent, { branch: value.trim() }, version),
};
