import { Button, Group, Modal, Stack } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, send } from "@/api/client";
import { keys } from "@/api/keys";
import { notifyDone, notifyError } from "@/components/notify";
import { formatCount } from "@/lib/format";

interface RebuildDialogProps {
  name: string;
  /** How many events it reads. */
  events: number;
  onClose: () => void;
}

/** Asks before a read model is built again. */
export function RebuildDialog({ name, events, onClose }: RebuildDialogProps) {
  const client = useQueryClient();
  const rebuild = useMutation({
    mutationFn: () =>
      send(api.POST("/api/projections/{name}/rebuild", { params: { path: { name } } })),
    onSuccess: () => {
      notifyDone(`${name} is being rebuilt`);
      void client.invalidateQueries({ queryKey: keys.health });
    },
    onError: (error) => notifyError(`${name} was not rebuilt`, error),
    onSettled: onClose,
  });
  return (
    <Modal opened onClose={onClose} title={`Rebuild ${name}?`}>
      <Stack>
        <p>
          It is built again from all {formatCount(events)} events beside the one that is used now,
          and takes its place when it is complete. Pages go on working meanwhile.
        </p>
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button loading={rebuild.isPending} onClick={() => rebuild.mutate()} data-autofocus>
            Rebuild
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
