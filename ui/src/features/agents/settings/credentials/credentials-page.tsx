import { Button } from "@mantine/core";
import { IconPlus, IconRefresh } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { ConfirmByName } from "@/components/confirm-by-name";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { notifyDone, notifyError } from "@/components/notify";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { plainText } from "@/lib/plain-text";
import { useLiveHub } from "@/live/context";
import { useLiveRefresh } from "@/live/hooks";
import type { AgentDetail } from "../../fold";
import { templatesQuery } from "../../template/queries";
import { useAgent } from "../../use-agent";
import { LookingOnly } from "../owners-only";
import classes from "../settings.module.css";
import { CredentialRow } from "./credential-row";
import { type CredentialsStatus, missing, type Wanted } from "./credentials";
import { credentialsQuery, useCredentialsChange } from "./queries";

const SetCredential = lazy(async () => ({
  default: (await import("./set-credential")).SetCredential,
}));

const PasteVariables = lazy(async () => ({
  default: (await import("./paste-variables")).PasteVariables,
}));

/** What is asked for. */
type Asked = { readonly set: string } | { readonly remove: string } | "lines";

/** The credentials of an agent by name: what it has, what it lacks, and no value of any. */
export function CredentialsPage() {
  const agent = useAgent();
  const hub = useLiveHub();
  const options = credentialsQuery(agent.name, hub.recent.floor);
  const query = useQuery(options);
  useLiveRefresh(
    options.queryKey,
    query.data,
    ({ stream_type, stream_id }) => stream_type === "agent" && stream_id === agent.name,
  );
  const templates = useQuery({ ...templatesQuery, enabled: agent.template !== null });
  const template = templates.data?.value.find(({ id }) => id === agent.template);
  const status = query.data?.value;
  if (query.isPending) return <SkeletonRows rows={4} height={52} />;
  if (!status) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  return (
    <Credentials
      agent={agent}
      status={status}
      wanted={missing(template?.manifest?.credentials ?? {}, status)}
    />
  );
}

interface CredentialsProps {
  agent: AgentDetail;
  status: CredentialsStatus;
  wanted: readonly Wanted[];
}

function Credentials({ agent, status, wanted }: CredentialsProps) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const [notMasked, setNotMasked] = useState<readonly string[]>([]);
  const close = () => setAsked(null);
  const canChange = agent.can_share;
  const again = useCredentialsChange(agent.name, (now) =>
    now.in_force ? notifyDone("Every credential is in force") : undefined,
  );
  const remove = useCredentialsChange(agent.name, close);
  const done = ({ not_masked }: CredentialsStatus) => setNotMasked(not_masked);
  const isThere = (name: string) => status.credentials.some((one) => one.name === name);
  return (
    <>
      {!canChange && <LookingOnly />}
      <Section
        title="Credentials"
        actions={
          canChange && (
            <span className={classes.actions}>
              {agent.phase === "running" && status.credentials.length > 0 && (
                <Button
                  variant="subtle"
                  size="xs"
                  leftSection={<IconRefresh size={14} aria-hidden />}
                  loading={again.isPending}
                  onClick={() =>
                    again.mutate("give-again", {
                      onError: (error) => notifyError("They were not given again", error),
                    })
                  }
                >
                  Give again
                </Button>
              )}
              <Button variant="subtle" size="xs" onClick={() => setAsked("lines")}>
                Paste .env
              </Button>
              <Button
                variant="default"
                size="xs"
                leftSection={<IconPlus size={14} aria-hidden />}
                onClick={() => setAsked({ set: "" })}
              >
                Add
              </Button>
            </span>
          )
        }
      >
        {status.error != null && (
          <p className={classes.hint} role="alert">
            <span className={classes.wrong}>The agent does not have them as they are: </span>
            <bdi>{plainText(status.error)}</bdi>
          </p>
        )}
        {notMasked.length > 0 && (
          <p className={classes.hint} role="status">
            Too short to be taken out of what runs print: <strong>{notMasked.join(", ")}</strong>.
          </p>
        )}
        {status.credentials.length === 0 && wanted.length === 0 ? (
          <EmptyState
            title="There are no credentials"
            command={`trinity credential set ${agent.name} API_TOKEN`}
          >
            Variables and files that runs need and nobody shall read: kept encrypted, given to the
            running agent at once.
          </EmptyState>
        ) : (
          <ul className={classes.rows}>
            {wanted.map(({ name, purpose }) => (
              <li key={name} className={classes.row}>
                <div className={classes.subject}>
                  <code>{name}</code>
                  <p>{purpose}</p>
                </div>
                <span className={`${classes.state} ${classes.wrong}`}>Missing</span>
                {canChange && (
                  <Button variant="default" size="xs" onClick={() => setAsked({ set: name })}>
                    Set
                  </Button>
                )}
              </li>
            ))}
            {status.credentials.map((credential) => (
              <CredentialRow
                key={credential.name}
                credential={credential}
                status={status}
                phase={agent.phase}
                canChange={canChange}
                onReplace={() => setAsked({ set: credential.name })}
                onRemove={() => setAsked({ remove: credential.name })}
              />
            ))}
          </ul>
        )}
      </Section>
      <Suspense>
        {asked === "lines" && <PasteVariables agent={agent.name} onDone={done} onClose={close} />}
        {asked !== null && asked !== "lines" && "set" in asked && (
          <SetCredential
            agent={agent.name}
            name={asked.set}
            isThere={isThere(asked.set)}
            onDone={done}
            onClose={close}
          />
        )}
      </Suspense>
      {asked !== null && asked !== "lines" && "remove" in asked && (
        <ConfirmByName
          title={`Remove ${asked.remove}`}
          name={asked.remove}
          action="Remove"
          isOpen
          isPending={remove.isPending}
          onConfirm={() =>
            remove.mutate(asked, {
              onError: (error) => notifyError(`${asked.remove} was not removed`, error),
            })
          }
          onClose={close}
        >
          Its value is gone for good. Runs that have it keep it to their end.
        </ConfirmByName>
      )}
    </>
  );
}
