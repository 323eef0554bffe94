import { ActionIcon, Button, Popover, TextInput, UnstyledButton } from "@mantine/core";
import { IconBookmark, IconX } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { type Stored, useStored } from "@/lib/storage";
import { definedOnly, type SavedView, withView } from "./saved-views";
import classes from "./views-menu.module.css";

interface ViewsMenuProps {
  views: Stored<readonly SavedView[]>;
  /** The filter that is saved. */
  search: object;
  onOpen: (view: SavedView) => void;
}

/** Filters to come back to, and a name for the one at hand. */
export function ViewsMenu({ views, search, onOpen }: ViewsMenuProps) {
  const [saved, setSaved] = useStored(views);
  const [isOpen, setOpen] = useState(false);
  const [name, setName] = useState("");
  const save = (event: FormEvent) => {
    event.preventDefault();
    setSaved(withView(saved, { name: name.trim(), search: definedOnly(search) }));
    setName("");
  };
  return (
    <Popover opened={isOpen} onChange={setOpen} position="bottom-end" width={264} shadow="none">
      <Popover.Target>
        <Button
          variant="default"
          size="xs"
          leftSection={<IconBookmark size={14} aria-hidden />}
          onClick={() => setOpen(!isOpen)}
        >
          Views
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.dropdown} aria-label="Saved views">
        {saved.length === 0 && <p className={classes.none}>No view is saved in this browser.</p>}
        {saved.map((view) => (
          <div key={view.name} className={classes.view}>
            <UnstyledButton
              className={classes.open}
              onClick={() => {
                onOpen(view);
                setOpen(false);
              }}
            >
              {view.name}
            </UnstyledButton>
            <ActionIcon
              size={24}
              aria-label={`Remove the view ${view.name}`}
              onClick={() => setSaved(saved.filter((other) => other !== view))}
            >
              <IconX size={13} />
            </ActionIcon>
          </div>
        ))}
        <form className={classes.save} onSubmit={save}>
          <TextInput
            size="xs"
            placeholder="Name this filter"
            aria-label="Name of the view"
            maxLength={60}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" size="xs" variant="default" disabled={name.trim() === ""}>
            Save
          </Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}
