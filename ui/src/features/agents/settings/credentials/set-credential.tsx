import {
  Button,
  FileButton,
  Group,
  Modal,
  PasswordInput,
  Stack,
  Textarea,
  TextInput,
} from "@mantine/core";
import { type FormEvent, useState } from "react";
import { isRefusedAtField, refusals } from "@/api/problem";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import { type CredentialsStatus, kindOf } from "./credentials";
import { useCredentialsChange } from "./queries";

const POINTERS = ["?key", "/value"] as const;

interface SetCredentialProps {
  agent: string;
  /** The name of the one that is set; empty while it is to be written. */
  name: string;
  /** Whether it is there already. */
  isThere: boolean;
  onDone: (status: CredentialsStatus) => void;
  onClose: () => void;
}

/** Asks for a credential: a variable, or a file when its name says so. */
export function SetCredential({ agent, isThere, onDone, onClose, ...props }: SetCredentialProps) {
  const [name, setName] = useState(props.name);
  const [value, setValue] = useState("");
  const kind = kindOf(name);
  const set = useCredentialsChange(agent, (status) => {
    notifyDone(`${name} ${status.in_force ? "is in force" : "is kept"}`);
    onDone(status);
    onClose();
  });
  const refused = refusals(set.error, POINTERS);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name !== "" && value !== "" && !set.isPending) set.mutate({ set: name, value });
  };
  const write = (text: string) => {
    setValue(text);
    set.reset();
  };
  const take = async (file: File | null) => {
    if (file === null) return;
    if (name === "") setName(file.name);
    write(await file.text());
  };
  const common = {
    label: "Value",
    description: "It is stored encrypted and never shown again.",
    value,
    error: refused["/value"],
    "data-autofocus": props.name !== "" || undefined,
  } as const;
  return (
    <Modal opened onClose={onClose} title={isThere ? `Replace ${name}` : "Add a credential"}>
      <form onSubmit={submit} noValidate>
        <Stack gap="sm">
          <TextInput
            label="Name"
            description="Of a variable, or with a dot or a slash the path of a file in the workspace."
            placeholder="API_TOKEN or .netrc"
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            readOnly={isThere}
            data-autofocus={props.name === "" || undefined}
            value={name}
            onChange={(event) => {
              setName(event.currentTarget.value.trim());
              set.reset();
            }}
            error={refused["?key"]}
          />
          {kind === "variable" ? (
            <PasswordInput
              {...common}
              autoComplete="off"
              visibilityToggleButtonProps={{ "aria-label": "Show what is written" }}
              onChange={(event) => write(event.currentTarget.value)}
            />
          ) : (
            <Textarea
              {...common}
              rows={6}
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => write(event.currentTarget.value)}
            />
          )}
          <FormError error={isRefusedAtField(refused) ? null : set.error} />
          <Group justify="space-between">
            <FileButton onChange={(file) => void take(file)}>
              {(button) => (
                <Button {...button} variant="subtle">
                  Take it from a file
                </Button>
              )}
            </FileButton>
            <Group>
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit" loading={set.isPending} disabled={name === "" || value === ""}>
                {isThere ? "Replace" : "Add"}
              </Button>
            </Group>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
