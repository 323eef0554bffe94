import { Button, UnstyledButton } from "@mantine/core";
import { IconDownload, IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, send } from "@/api/client";
import { keys } from "@/api/keys";
import { ApiError } from "@/api/problem";
import { ConfirmByName } from "@/components/confirm-by-name";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { FormError } from "@/components/form-error";
import { notifyDone, notifyError } from "@/components/notify";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { Time } from "@/components/time";
import { formatBytes } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import classes from "./files.module.css";
import { downloadHref, fileQuery, type OpenFile, writeFile } from "./queries";
import { baseName } from "./tree";

interface FileViewProps {
  name: string;
  path: string;
  /** The file was deleted. */
  onGone: () => void;
}

/** One file: its text to read and edit, and what else can be done with it. */
export function FileView({ name, path, onGone }: FileViewProps) {
  const query = useQuery(fileQuery(name, path));
  const file = query.data;
  return (
    <Section
      title={plainText(path)}
      actions={file && <FileActions name={name} file={file} onGone={onGone} />}
    >
      {file ? (
        <>
          <p className={classes.facts}>
            {formatBytes(file.entry.size_bytes)}, changed <Time at={file.entry.modified_at} />
          </p>
          {"text" in file.content ? (
            <Editor name={name} file={file} text={file.content.text} />
          ) : (
            <EmptyState title="Not shown">{file.content.hidden}</EmptyState>
          )}
        </>
      ) : query.isError ? (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      ) : (
        <SkeletonRows rows={6} height={24} />
      )}
    </Section>
  );
}

function FileActions({ name, file, onGone }: { name: string; file: OpenFile; onGone: () => void }) {
  const { path, kind, holds_credentials } = file.entry;
  const [isAsking, setAsking] = useState(false);
  const cache = useQueryClient();
  const remove = useMutation({
    mutationFn: () => {
      const header = { "If-Match": file.etag };
      const params = { path: { name }, query: { path }, header };
      return send(api.DELETE("/api/agents/{name}/files", { params }));
    },
    onSuccess: () => {
      notifyDone(`${plainText(path)} deleted`);
      cache.removeQueries({ queryKey: keys.agents.file(name, path) });
      void cache.invalidateQueries({ queryKey: keys.agents.folders(name) });
      onGone();
    },
    onError: (error) => notifyError(`${plainText(path)} was not deleted`, error),
    onSettled: () => setAsking(false),
  });
  if (holds_credentials) return null;
  return (
    <span className={classes.actions}>
      {kind === "file" && (
        <Button
          component="a"
          href={downloadHref(name, path)}
          download={baseName(path)}
          variant="subtle"
          size="xs"
          leftSection={<IconDownload size={14} aria-hidden />}
        >
          Download
        </Button>
      )}
      <Button
        variant="subtle"
        size="xs"
        leftSection={<IconTrash size={14} aria-hidden />}
        onClick={() => setAsking(true)}
      >
        Delete
      </Button>
      <ConfirmByName
        title={`Delete ${plainText(path)}`}
        name={baseName(path)}
        action="Delete file"
        isOpen={isAsking}
        isPending={remove.isPending}
        onConfirm={() => remove.mutate()}
        onClose={() => setAsking(false)}
      >
        It does not come back.
      </ConfirmByName>
    </span>
  );
}

interface EditorProps {
  name: string;
  file: OpenFile;
  text: string;
}

/** What the text was when somebody began to write, and what it is to become. */
interface Draft {
  readonly text: string;
  readonly etag: string;
}

function Editor({ name, file, text }: EditorProps) {
  const { path, kind } = file.entry;
  const [draft, setDraft] = useState<Draft | null>(null);
  const cache = useQueryClient();
  const readAgain = () => cache.invalidateQueries({ queryKey: keys.agents.files(name) });
  const save = useMutation({
    mutationFn: (next: Draft) => send(writeFile(name, path, next.text, { is: next.etag })),
    onSuccess: async (done) => {
      await readAgain();
      setDraft(null);
      notifyDone(done.is_instructions ? "Saved. Runs that start from now on follow it." : "Saved");
    },
  });
  const error = save.error;
  const isConflict = error instanceof ApiError && error.status === 412;
  const newest = isConflict && typeof error.members.etag === "string" ? error.members.etag : null;
  const drop = async () => {
    await readAgain();
    setDraft(null);
    save.reset();
  };
  return (
    <form
      className={classes.editor}
      onSubmit={(event) => {
        event.preventDefault();
        if (draft !== null) save.mutate(draft);
      }}
    >
      <textarea
        className={classes.text}
        aria-label={`Content of ${plainText(path)}`}
        spellCheck={false}
        readOnly={kind === "link"}
        value={draft?.text ?? text}
        onChange={(event) => {
          const next = event.currentTarget.value;
          setDraft((before) => ({ text: next, etag: before?.etag ?? file.etag }));
        }}
      />
      {isConflict && (
        <p className={classes.conflict} role="alert">
          Somebody has changed this file since you opened it, and nothing was saved.
          <UnstyledButton className={classes.choice} onClick={() => void drop()}>
            Read it again
          </UnstyledButton>
          {newest !== null && draft !== null && (
            <UnstyledButton
              className={classes.choice}
              onClick={() => save.mutate({ ...draft, etag: newest })}
            >
              Save mine over it
            </UnstyledButton>
          )}
        </p>
      )}
      <FormError error={isConflict ? null : error} />
      <div className={classes.buttons}>
        {kind === "link" ? (
          <span className={classes.facts}>This is a link. Edit the file that it leads to.</span>
        ) : (
          <>
            <Button
              type="submit"
              size="sm"
              disabled={draft === null || draft.text === text}
              loading={save.isPending}
            >
              Save
            </Button>
            {draft !== null && draft.text !== text && (
              <Button variant="default" size="sm" onClick={() => void drop()}>
                Drop changes
              </Button>
            )}
          </>
        )}
      </div>
    </form>
  );
}
