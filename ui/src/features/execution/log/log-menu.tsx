import { ActionIcon, Menu } from "@mantine/core";
import { IconCopy, IconDots, IconDownload } from "@tabler/icons-react";
import { type RefObject, useState } from "react";
import { api, load } from "@/api/client";
import { notifyDone, notifyError } from "@/components/notify";
import type { Execution } from "@/features/executions/fold";
import { copyText } from "@/lib/clipboard";
import { saveText } from "@/lib/download";
import { type Entry, savedText } from "./entry";
import { LINES_PER_PAGE } from "./log-lines";
import type { LogSource } from "./log-source";
import type { LogHandle } from "./log-view";

interface LogMenuProps {
  execution: Execution;
  source: LogSource;
  handle: RefObject<LogHandle | null>;
}

/** What can be taken away from a log: the lines in view, or everything; always from its data. */
export function LogMenu({ execution, source, handle }: LogMenuProps) {
  const [isSaving, setSaving] = useState(false);
  const copy = () => {
    const { first, last } = handle.current?.range() ?? { first: 1, last: 0 };
    const texts: string[] = [];
    for (let seq = first; seq <= last; seq += 1) {
      const entry = source.lines.get(seq);
      if (entry) texts.push(savedText(entry));
    }
    copyText(texts.join("\n")).then(
      () => notifyDone(`${texts.length} lines are copied`),
      (error: unknown) => notifyError("Not copied", error),
    );
  };
  const save = async (ending: "txt" | "ndjson") => {
    setSaving(true);
    try {
      await saveAll(execution, ending);
    } catch (error) {
      notifyError("The log was not saved", error);
    }
    setSaving(false);
  };
  return (
    <Menu position="bottom-end" shadow="none" withinPortal>
      <Menu.Target>
        <ActionIcon size={28} aria-label="Copy or download" loading={isSaving}>
          <IconDots size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconCopy size={14} aria-hidden />} onClick={copy}>
          Copy the lines in view
        </Menu.Item>
        <Menu.Item
          leftSection={<IconDownload size={14} aria-hidden />}
          onClick={() => void save("txt")}
        >
          Download everything as text
        </Menu.Item>
        <Menu.Item
          leftSection={<IconDownload size={14} aria-hidden />}
          onClick={() => void save("ndjson")}
        >
          Download everything as JSON lines
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Reads a whole log, page by page, and saves it; what was read is the browser's to keep. */
async function saveAll({ agent_name, id, incarnation }: Execution, ending: "txt" | "ndjson") {
  const parts: Blob[] = [];
  const path = { name: agent_name, id };
  for (let after = 0; ; ) {
    const query = { after, limit: LINES_PER_PAGE, incarnation };
    const { value } = await load(
      api.GET("/api/agents/{name}/executions/{id}/log", { params: { path, query } }),
    );
    parts.push(new Blob(value.entries.map((entry) => savedLine(entry, ending))));
    if (value.entries.length === 0 || value.next >= value.total) break;
    after = value.next;
  }
  saveText(parts, `${agent_name}-${id}.${ending}`);
}

function savedLine(entry: Entry, ending: "txt" | "ndjson"): string {
  return ending === "txt"
    ? `${entry.at} ${entry.stream} ${savedText(entry)}\n`
    : `${JSON.stringify(entry)}\n`;
}
