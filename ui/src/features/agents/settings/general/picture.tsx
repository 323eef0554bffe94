import { Button, FileButton } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { api, send } from "@/api/client";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import { Avatar } from "../../avatar";
import type { AgentDetail } from "../../fold";
import { ifStill } from "../save";
import classes from "../settings.module.css";

const TYPES = "image/png,image/jpeg,image/gif,image/webp";

const PREVIEW_PX = 48;

/** The picture by which an agent is known at a glance. */
export function Picture({ agent }: { agent: AgentDetail }) {
  const params = ifStill(agent, `"v${agent.version}"`);
  const set = useMutation({
    mutationFn: (image: File | null) =>
      send(
        image === null
          ? api.DELETE("/api/agents/{name}/avatar", { params })
          : api.PUT("/api/agents/{name}/avatar", {
              params,
              body: image as unknown as string,
              bodySerializer: (body) => body,
              headers: { "Content-Type": image.type },
            }),
      ),
    onSuccess: (_, image) => notifyDone(image === null ? "Picture removed" : "Picture saved"),
  });
  const isSet = agent.avatar_sha256 !== null;
  return (
    <div className={classes.danger}>
      <Avatar agent={agent} size={PREVIEW_PX} />
      <div className={classes.subject}>
        Picture
        <p>PNG, JPEG, GIF or WebP, at most 256 KiB. It stands beside the name.</p>
        <FormError error={set.error} />
      </div>
      <span className={classes.actions}>
        <FileButton accept={TYPES} onChange={(file) => file && set.mutate(file)}>
          {(button) => (
            <Button {...button} variant="default" loading={set.isPending}>
              {isSet ? "Replace picture" : "Choose picture"}
            </Button>
          )}
        </FileButton>
        {isSet && (
          <Button variant="subtle" disabled={set.isPending} onClick={() => set.mutate(null)}>
            Remove
          </Button>
        )}
      </span>
    </div>
  );
}
