import { Popover, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconX } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import classes from "./filters.module.css";

interface FilterButtonProps {
  /** What is filtered by. */
  label: string;
  /** What is chosen, in words; undefined when nothing is. */
  value: string | undefined;
  onClear: () => void;
  children: ReactNode;
}

/** A chip of a filter bar: says what is chosen, opens what can be chosen, clears it. */
export function FilterButton({ label, value, onClear, children }: FilterButtonProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <div className={classes.chip} data-set={value !== undefined || undefined}>
      <Popover opened={isOpen} onChange={setOpen} position="bottom-start" shadow="none" trapFocus>
        <Popover.Target>
          <UnstyledButton className={classes.open} onClick={() => setOpen(!isOpen)}>
            {value === undefined ? label : `${label}: ${value}`}
            {value === undefined && <IconChevronDown size={14} aria-hidden />}
          </UnstyledButton>
        </Popover.Target>
        <Popover.Dropdown className={classes.dropdown} aria-label={label}>
          {children}
        </Popover.Dropdown>
      </Popover>
      {value !== undefined && (
        <UnstyledButton
          className={classes.clear}
          aria-label={`Clear the filter ${label}`}
          onClick={onClear}
        >
          <IconX size={13} aria-hidden />
        </UnstyledButton>
      )}
    </div>
  );
}
