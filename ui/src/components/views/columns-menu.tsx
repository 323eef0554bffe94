import { Button, Checkbox, Popover } from "@mantine/core";
import { IconColumns3 } from "@tabler/icons-react";
import { DENSITY } from "@/app/preferences";
import type { Stored } from "@/lib/storage";
import { useStored } from "@/lib/storage";
import classes from "./columns-menu.module.css";

interface ColumnsMenuProps {
  columns: readonly { readonly id: string; readonly header?: unknown }[];
  /** Columns that cannot be hidden. */
  fixed: ReadonlySet<string>;
  hidden: Stored<readonly string[]>;
}

/** Which columns of a list are hidden, in this browser; some are from the beginning. */
export function hiddenColumns(
  list: string,
  byDefault: readonly string[] = [],
): Stored<readonly string[]> {
  return {
    key: `columns.${list}`,
    parse: (stored) =>
      Array.isArray(stored) ? stored.filter((id) => typeof id === "string") : byDefault,
  };
}

/** Chooses the columns of a list and how close its rows are. */
export function ColumnsMenu({ columns, fixed, hidden }: ColumnsMenuProps) {
  const [hiddenIds, setHidden] = useStored(hidden);
  const [density, setDensity] = useStored(DENSITY);
  const toggle = (id: string) =>
    setHidden(
      hiddenIds.includes(id) ? hiddenIds.filter((other) => other !== id) : [...hiddenIds, id],
    );
  return (
    <Popover position="bottom-end" shadow="none" trapFocus>
      <Popover.Target>
        <Button
          variant="default"
          size="xs"
          leftSection={<IconColumns3 size={14} aria-hidden />}
          className={classes.button}
        >
          Columns
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.dropdown} aria-label="Columns">
        {columns
          .filter(({ id }) => !fixed.has(id))
          .map(({ id, header }) => (
            <Checkbox
              key={id}
              size="xs"
              label={String(header)}
              checked={!hiddenIds.includes(id)}
              onChange={() => toggle(id)}
            />
          ))}
        <hr className={classes.rule} />
        <Checkbox
          size="xs"
          label="Compact rows"
          checked={density === "compact"}
          onChange={() => setDensity(density === "compact" ? "cosy" : "compact")}
        />
      </Popover.Dropdown>
    </Popover>
  );
}
