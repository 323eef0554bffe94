import { Button, Menu } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { type EventSearch, exportHref } from "./search";

const FORMATS = [
  { format: "ndjson", label: "NDJSON", file: "events.ndjson" },
  { format: "cloudevents-ndjson", label: "CloudEvents", file: "cloudevents.ndjson" },
] as const;

/** Hands out what the filter leaves of the log, up to its end, as a file with one event a line. */
export function ExportMenu({ search }: { search: EventSearch }) {
  return (
    <Menu position="bottom-end" shadow="none">
      <Menu.Target>
        <Button
          variant="default"
          size="xs"
          leftSection={<IconDownload size={14} aria-hidden />}
          aria-label="Export the log"
        >
          Export
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {FORMATS.map(({ format, label, file }) => (
          <Menu.Item key={format} component="a" href={exportHref(search, format)} download={file}>
            {label}, one event a line
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
