import { TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import classes from "./search-box.module.css";

/** How long somebody has to stop writing before a search begins. */
const SETTLED_MS = 250;

interface SearchBoxProps {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

/** A search over a list: `/` leads here, Escape leads out. */
export function SearchBox({ label, value, onChange }: SearchBoxProps) {
  const [text, setText] = useState(value ?? "");
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useEffect(() => setText(value ?? ""), [value]);
  const settle = (next: string, afterMs: number) => {
    setText(next);
    if (timer.current !== null) clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(next.trim() || undefined), afterMs);
  };
  return (
    <TextInput
      data-search
      className={classes.box}
      size="xs"
      type="search"
      placeholder={label}
      aria-label={label}
      leftSection={<IconSearch size={14} aria-hidden />}
      value={text}
      onChange={(event) => settle(event.currentTarget.value, SETTLED_MS)}
      onKeyDown={(event) => {
        if (event.key === "Enter") settle(text, 0);
        if (event.key === "Escape") event.currentTarget.blur();
      }}
    />
  );
}
