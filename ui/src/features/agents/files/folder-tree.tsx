import { UnstyledButton } from "@mantine/core";
import {
  IconChevronRight,
  IconFile,
  IconFolder,
  IconKey,
  IconLink,
  IconPlug,
} from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { formatBytes } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import classes from "./files.module.css";
import { folderQuery } from "./queries";
import { baseName, type FileEntry, foldersAbove, inOrder } from "./tree";

interface FolderProps {
  name: string;
  /** The file that is open. */
  open: string | undefined;
  onOpen: (path: string) => void;
}

/** The workspace as a tree; a folder is read when it is opened. */
export function FolderTree(props: FolderProps) {
  return <Folder {...props} path="" />;
}

function Folder({ path, ...props }: FolderProps & { path: string }) {
  const query = useInfiniteQuery(folderQuery(props.name, path));
  if (query.isPending) return <SkeletonRows rows={path === "" ? 6 : 2} height={32} />;
  if (query.isError && query.data === undefined) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  const entries = inOrder(query.data.pages.flatMap((page) => page.items));
  if (entries.length === 0) return <p className={classes.empty}>Nothing is in it.</p>;
  return (
    <ul className={classes.list}>
      {entries.map((entry) => (
        <li key={entry.path}>
          <Entry entry={entry} {...props} />
        </li>
      ))}
      {query.hasNextPage && (
        <li>
          <UnstyledButton
            className={classes.more}
            disabled={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            Show more
          </UnstyledButton>
        </li>
      )}
    </ul>
  );
}

function Entry({ entry, ...props }: FolderProps & { entry: FileEntry }) {
  const { open, onOpen } = props;
  const isOnTheWay = open !== undefined && foldersAbove(open).includes(entry.path);
  const [isUnfolded, setUnfolded] = useState(isOnTheWay);
  const text = <bdi>{plainText(baseName(entry.path))}</bdi>;
  if (entry.kind !== "folder") {
    return (
      <UnstyledButton
        className={classes.entry}
        aria-current={entry.path === open ? "true" : undefined}
        onClick={() => onOpen(entry.path)}
      >
        <Icon entry={entry} />
        <span className={classes.name}>{text}</span>
        {entry.kind === "file" && (
          <span className={classes.size}>{formatBytes(entry.size_bytes)}</span>
        )}
      </UnstyledButton>
    );
  }
  return (
    <>
      <UnstyledButton
        className={classes.entry}
        aria-expanded={isUnfolded}
        onClick={() => setUnfolded(!isUnfolded)}
      >
        <IconChevronRight className={classes.chevron} size={14} aria-hidden />
        <IconFolder size={16} aria-hidden />
        <span className={classes.name}>{text}</span>
      </UnstyledButton>
      {isUnfolded && (
        <div className={classes.nested}>
          <Folder {...props} path={entry.path} />
        </div>
      )}
    </>
  );
}

function Icon({ entry }: { entry: FileEntry }) {
  if (entry.holds_credentials) return <IconKey size={16} aria-hidden />;
  if (entry.kind === "link") return <IconLink size={16} aria-hidden />;
  if (entry.kind === "other") return <IconPlug size={16} aria-hidden />;
  return <IconFile size={16} aria-hidden />;
}
