import { Button, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, send } from "@/api/client";
import { refusals } from "@/api/problem";
import { EmptyState } from "@/components/empty-state";
import { FormError } from "@/components/form-error";
import { notifyDone, notifyError } from "@/components/notify";
import { Section } from "@/components/section";
import type { AgentDetail } from "../../fold";
import { useAgent } from "../../use-agent";
import classes from "../settings.module.css";

const POINTER = "/username";

/** Which other users may operate an agent. */
export function SharingPage() {
  const agent = useAgent();
  if (!agent.can_share) {
    return (
      <EmptyState title="Not for you to see">
        Its owner or an administrator knows whom this agent is shared with, and can change it.
      </EmptyState>
    );
  }
  return (
    <Section title="Shared with">
      {agent.shares.length === 0 ? (
        <EmptyState
          title="It is shared with nobody"
          command={`trinity agent share ${agent.name} ana`}
        >
          Whom you share it with can see it, give it tasks, start and stop it. Settings, credentials
          and its deletion stay with you.
        </EmptyState>
      ) : (
        <ul className={classes.rows}>
          {agent.shares.map(({ user_id, username }) => (
            <Share key={user_id} agent={agent} username={username} />
          ))}
        </ul>
      )}
      <ShareForm agent={agent} />
    </Section>
  );
}

function Share({ agent, username }: { agent: AgentDetail; username: string }) {
  const unshare = useMutation({
    mutationFn: () =>
      send(
        api.DELETE("/api/agents/{name}/share/{username}", {
          params: { path: { name: agent.name, username } },
        }),
      ),
    onSuccess: () => notifyDone(`${agent.name} is not shared with ${username} any more`),
    onError: (error) => notifyError(`${username} still may use it`, error),
  });
  return (
    <li className={classes.row}>
      <div className={classes.subject}>
        <bdi>{username}</bdi>
        <p>May see it, give it tasks, start and stop it</p>
      </div>
      <Button
        variant="default"
        size="xs"
        aria-label={`Stop sharing with ${username}`}
        loading={unshare.isPending}
        onClick={() => unshare.mutate()}
      >
        Stop sharing
      </Button>
    </li>
  );
}

function ShareForm({ agent }: { agent: AgentDetail }) {
  const [username, setUsername] = useState("");
  const share = useMutation({
    mutationFn: () => {
      const params = { path: { name: agent.name } };
      return send(api.POST("/api/agents/{name}/share", { params, body: { username } }));
    },
    onSuccess: ({ status, username: known }) => {
      setUsername("");
      notifyDone(
        status === "already_shared"
          ? `${known} could use it already`
          : `${agent.name} is shared with ${known}`,
      );
    },
  });
  const refused = refusals(share.error, [POINTER])[POINTER];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (username !== "" && !share.isPending) share.mutate();
  };
  return (
    <form className={classes.form} onSubmit={submit} noValidate aria-label="Share it">
      <div>
        <TextInput
          label="Share with"
          placeholder="user name"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          value={username}
          onChange={(event) => {
            setUsername(event.currentTarget.value.trim());
            share.reset();
          }}
          error={refused}
        />
        <FormError error={refused ? null : share.error} />
      </div>
      <Button type="submit" variant="default" disabled={username === ""} loading={share.isPending}>
        Share
      </Button>
    </form>
  );
}
