import { useMediaQuery } from "@mantine/hooks";
import { type RowData, useTable } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useMemo, useRef } from "react";
import { useActions } from "@/app/actions/use-actions";
import classes from "./data-table.module.css";
import { type DataColumn, features } from "./features";
import { HeaderRow } from "./header-row";
import { TableRow } from "./table-row";
import { useRowCursor } from "./use-row-cursor";

/** Below this width rows are cards. */
const CARDS_BELOW = "(max-width: 720px)";

/** How many rows before the end the next page is asked for. */
const MORE_AT_ROWS = 20;

/** How many rows beside those in view are drawn, on either side. */
const OVERSCAN_ROWS = 5;

const CARD_HEIGHT = 96;

interface DataTableProps<Row extends RowData> {
  /** What the list is a list of, for readers. */
  label: string;
  columns: readonly DataColumn<Row>[];
  rows: readonly Row[];
  getRowId: (row: Row) => string;
  /** A row on a narrow screen. */
  renderCard: (row: Row) => ReactNode;
  density?: "compact" | "cosy";
  /** Columns that are not shown, by id. */
  hidden?: ReadonlySet<string>;
  /** The ids of the selected rows; rows cannot be selected without it. */
  selected?: ReadonlySet<string>;
  onToggle?: (row: Row) => void;
  /** What Enter does on a row, and a click beside its own links. */
  onOpen?: (row: Row) => void;
  /** Rows that are drawn fainter. */
  isFaint?: (row: Row) => boolean;
  hasMore?: boolean;
  onNeedMore?: () => void;
  /** Tells whether the first row is in view. */
  onAtTop?: (isAtTop: boolean) => void;
  /** Whether the last row stays in view as more come; with it, rows also come before the first. */
  isFollowing?: boolean;
  /** Tells whether the last row is in view. */
  onAtEnd?: (isAtEnd: boolean) => void;
  hasEarlier?: boolean;
  onNeedEarlier?: () => void;
  footer?: ReactNode;
}

/** A list of any length: only the rows in view are drawn, and the keyboard reaches all of them. */
export function DataTable<Row extends RowData>(props: DataTableProps<Row>) {
  const { label, columns, rows, getRowId, density = "cosy", hidden, selected, onToggle } = props;
  const isCards = useMediaQuery(CARDS_BELOW, matchMedia(CARDS_BELOW).matches) ?? false;
  const scroller = useRef<HTMLDivElement>(null);
  const table = useTable({
    features,
    columns: columns as DataColumn<Row>[],
    data: rows as Row[],
    getRowId,
    state: { columnVisibility: useVisibility(hidden) },
  });
  const model = table.getRowModel().rows;
  const rowHeight = density === "compact" ? 36 : 44;
  const virtualizer = useVirtualizer({
    count: model.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (isCards ? CARD_HEIGHT : rowHeight),
    getItemKey: (index) => model[index]?.id ?? index,
    overscan: OVERSCAN_ROWS,
    initialOffset: props.isFollowing ? model.length * rowHeight : 0,
    anchorTo: props.isFollowing === undefined ? "start" : "end",
    followOnAppend: props.isFollowing ?? false,
    scrollEndThreshold: rowHeight,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows have other heights from now on
  useEffect(() => virtualizer.measure(), [rowHeight, isCards]);
  const cursor = useRowCursor(scroller, model.length, (index) => virtualizer.scrollToIndex(index));
  const items = virtualizer.getVirtualItems();
  useNeedMore(props, items.at(-1)?.index ?? 0);
  useNeedEarlier(props, items[0]?.index ?? 0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: when it begins; then the end is kept
  useEffect(() => {
    if (props.isFollowing) virtualizer.scrollToEnd();
  }, [props.isFollowing]);

  const current = model[cursor.index]?.original;
  const { onOpen } = props;
  useActions([
    { id: "rows.next", label: "Next row", group: "List", keys: "j", run: () => cursor.moveBy(1) },
    {
      id: "rows.previous",
      label: "Previous row",
      group: "List",
      keys: "k",
      run: () => cursor.moveBy(-1),
    },
    ...(onToggle
      ? [
          {
            id: "rows.select",
            label: "Select the row",
            group: "List",
            keys: "x",
            run: () => current && onToggle(current),
          },
        ]
      : []),
  ]);

  const visible = table.getVisibleLeafColumns();
  const tracks = visible.map((column) => column.columnDef.meta?.width ?? "1fr");
  const template = (onToggle ? ["40px", ...tracks] : tracks).join(" ");
  return (
    <div
      ref={scroller}
      className={classes.scroller}
      data-cards={isCards || undefined}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        props.onAtTop?.(scrollTop < rowHeight);
        props.onAtEnd?.(scrollHeight - scrollTop - clientHeight < rowHeight);
      }}
    >
      {/* biome-ignore lint/a11y/useSemanticElements: rows are drawn anywhere, which a table forbids */}
      <div
        role="grid"
        aria-label={label}
        aria-rowcount={props.hasMore ? -1 : model.length + 1}
        aria-multiselectable={onToggle ? true : undefined}
        tabIndex={-1}
        className={classes.grid}
        style={{ "--columns": template } as React.CSSProperties}
        onKeyDown={cursor.onKeyDown}
      >
        <HeaderRow table={table} isSelectable={onToggle !== undefined} isHidden={isCards} />
        {/* biome-ignore lint/a11y/useSemanticElements: see the grid */}
        <div
          role="rowgroup"
          className={classes.body}
          style={{ height: virtualizer.getTotalSize() }}
        >
          {items.map((item) => {
            const row = model[item.index];
            if (!row) return null;
            return (
              <TableRow
                key={item.key}
                row={row}
                index={item.index}
                start={item.start}
                measure={isCards ? virtualizer.measureElement : undefined}
                height={isCards ? undefined : rowHeight}
                renderCard={isCards ? props.renderCard : undefined}
                columns={template}
                isCurrent={item.index === Math.max(cursor.index, 0)}
                isSelected={selected?.has(row.id)}
                isFaint={props.isFaint?.(row.original) ?? false}
                onFocus={cursor.moveTo}
                onToggle={onToggle}
                onOpen={onOpen}
              />
            );
          })}
        </div>
      </div>
      {props.footer}
    </div>
  );
}

function useVisibility(hidden: ReadonlySet<string> | undefined): Record<string, boolean> {
  return useMemo(
    () => Object.fromEntries([...(hidden ?? [])].map((column) => [column, false])),
    [hidden],
  );
}

/** Asks for the next page as soon as the last row drawn is near the end. */
function useNeedMore<Row extends RowData>(props: DataTableProps<Row>, lastIndex: number) {
  const { rows, hasMore, onNeedMore } = props;
  const isNear = hasMore === true && lastIndex >= rows.length - MORE_AT_ROWS;
  // biome-ignore lint/correctness/useExhaustiveDependencies: again after each page that was too short
  useEffect(() => {
    if (isNear) onNeedMore?.();
  }, [isNear, rows.length]);
}

/** Asks for the rows before as soon as the first row drawn is near the beginning. */
function useNeedEarlier<Row extends RowData>(props: DataTableProps<Row>, firstIndex: number) {
  const { rows, hasEarlier, onNeedEarlier } = props;
  const isNear = hasEarlier === true && firstIndex < MORE_AT_ROWS;
  // biome-ignore lint/correctness/useExhaustiveDependencies: again after each page that was too short
  useEffect(() => {
    if (isNear) onNeedEarlier?.();
  }, [isNear, rows.length]);
}
