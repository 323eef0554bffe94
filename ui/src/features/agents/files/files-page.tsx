import { Button } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { keys } from "@/api/keys";
import { EmptyState } from "@/components/empty-state";
import { Section } from "@/components/section";
import { NotRunning } from "../not-running";
import { useAgent } from "../use-agent";
import { FileView } from "./file-view";
import classes from "./files.module.css";
import { FolderTree } from "./folder-tree";
import { parentOf } from "./tree";
import { Upload } from "./upload";

const route = getRouteApi("/app/agents/$name/files");

/** The files of an agent's workspace: a tree, and the one that is open. */
export function FilesPage() {
  const agent = useAgent();
  const { file } = route.useSearch();
  const navigate = route.useNavigate();
  const cache = useQueryClient();
  if (agent.phase !== "running") {
    return <NotRunning agent={agent}>Its files can be seen and changed while it runs.</NotRunning>;
  }
  const open = (path: string | undefined) => void navigate({ search: { file: path } });
  return (
    <div className={classes.page} data-open={file !== undefined}>
      <Section
        title="Workspace"
        actions={
          <span className={classes.actions}>
            <Button
              variant="subtle"
              size="xs"
              leftSection={<IconRefresh size={14} aria-hidden />}
              onClick={() =>
                void cache.invalidateQueries({ queryKey: keys.agents.files(agent.name) })
              }
            >
              Refresh
            </Button>
            <Upload
              name={agent.name}
              folder={file === undefined ? "" : parentOf(file)}
              onUploaded={open}
            />
          </span>
        }
      >
        <FolderTree name={agent.name} open={file} onOpen={open} />
      </Section>
      <div className={classes.file}>
        {file === undefined ? (
          <EmptyState title="No file is open" command={`trinity agent files ls ${agent.name}`}>
            Choose one to read, edit, download or delete it.
          </EmptyState>
        ) : (
          <FileView key={file} name={agent.name} path={file} onGone={() => open(undefined)} />
        )}
      </div>
    </div>
  );
}
