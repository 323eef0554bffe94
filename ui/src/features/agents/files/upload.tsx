import { Button } from "@mantine/core";
import { IconUpload } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { send } from "@/api/client";
import { keys } from "@/api/keys";
import { ApiError } from "@/api/problem";
import { notifyDone, notifyError } from "@/components/notify";
import { plainText } from "@/lib/plain-text";
import { writeFile } from "./queries";
import { joined } from "./tree";

interface UploadProps {
  name: string;
  /** Where the file goes. */
  folder: string;
  onUploaded: (path: string) => void;
}

/** Puts a file of this machine into the workspace, never over one that is there. */
export function Upload({ name, folder, onUploaded }: UploadProps) {
  const input = useRef<HTMLInputElement>(null);
  const cache = useQueryClient();
  const upload = useMutation({
    mutationFn: async (file: File) => {
      const path = joined(folder, file.name);
      await send(writeFile(name, path, file, { isAbsent: true }));
      return path;
    },
    onSuccess: (path) => {
      notifyDone(`${plainText(path)} uploaded`);
      void cache.invalidateQueries({ queryKey: keys.agents.files(name) });
      onUploaded(path);
    },
    onError: (error, file) => {
      const isThere = error instanceof ApiError && error.status === 412;
      const why = isThere ? new Error("There is a file of that name. Delete it first.") : error;
      notifyError(`${plainText(file.name)} was not uploaded`, why);
    },
  });
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        aria-label="File to upload"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) upload.mutate(file);
          // The same file again is a change too.
          event.currentTarget.value = "";
        }}
      />
      <Button
        variant="default"
        size="xs"
        leftSection={<IconUpload size={14} aria-hidden />}
        loading={upload.isPending}
        onClick={() => input.current?.click()}
      >
        Upload
      </Button>
    </>
  );
}
