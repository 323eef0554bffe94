import { Button, Textarea } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, send } from "@/api/client";
import { keys } from "@/api/keys";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import type { AgentDetail } from "../../fold";
import { Conflict } from "../conflict";
import { BASE, changed, edited, seen } from "../draft";
import { ifStill } from "../save";
import classes from "../settings.module.css";
import { type McpServers, serversOfText, textOfServers } from "./mcp-text";

interface McpEditorProps {
  agent: AgentDetail;
  /** Those that are set now. */
  servers: McpServers;
}

/** The MCP servers of an agent as the text that MCP clients read. */
export function McpEditor({ agent, servers }: McpEditorProps) {
  const { name } = agent;
  const cache = useQueryClient();
  const current = textOfServers(servers);
  const [draft, setDraft] = useState(BASE);
  const text = draft.value ?? current;
  const read = serversOfText(text);
  const conflict = changed(draft, current);
  const save = useMutation({
    mutationFn: (next: McpServers) =>
      send(
        api.PUT("/api/agents/{name}/mcp-servers", {
          params: ifStill(agent, `"v${agent.version}"`),
          body: { mcp_servers: next as Record<string, Record<string, never>> },
        }),
      ),
    onSuccess: async () => {
      await cache.invalidateQueries({ queryKey: keys.agents.mcpServers(name) });
      setDraft(BASE);
      notifyDone("MCP servers saved. Runs that start from now on have them.");
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if ("servers" in read && text !== current && conflict === null) save.mutate(read.servers);
  };
  return (
    <form className={classes.editor} onSubmit={submit} noValidate>
      <Textarea
        label="mcpServers"
        description={
          <>
            Each with a <code>command</code> or a <code>url</code>. In its texts{" "}
            <code>{`\${NAME}`}</code> stands for a credential.
          </>
        }
        placeholder={PLACEHOLDER}
        classNames={{ input: classes.code }}
        rows={14}
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(event) => {
          const next = event.currentTarget.value;
          setDraft((before) => edited(before, next, current));
          save.reset();
        }}
        error={draft.value !== null && "wrong" in read ? read.wrong : undefined}
      />
      {conflict !== null && (
        <Conflict
          onTake={() => setDraft(BASE)}
          onKeep={() => setDraft((before) => seen(before, current))}
        >
          Somebody has changed the servers meanwhile.
        </Conflict>
      )}
      <FormError error={save.error} />
      <div>
        <Button
          type="submit"
          disabled={text === current || "wrong" in read || conflict !== null}
          loading={save.isPending}
        >
          Save
        </Button>
      </div>
    </form>
  );
}

const PLACEHOLDER = `{
  "mcpServers": {
    "git": { "command": "git-mcp", "env": { "TOKEN": "\${GIT_TOKEN}" } }
  }
}`;
