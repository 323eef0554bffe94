import { flexRender, type Row as ModelRow, type RowData } from "@tanstack/react-table";
import { type KeyboardEvent, type MouseEvent, memo, type ReactNode } from "react";
import classes from "./data-table.module.css";
import type { features } from "./features";

interface TableRowProps<Row extends RowData> {
  row: ModelRow<typeof features, Row>;
  index: number;
  /** Where it begins, in pixels from the first row. */
  start: number;
  height: number | undefined;
  measure: ((element: HTMLElement | null) => void) | undefined;
  /** Draws it as a card; cells without it. */
  renderCard: ((row: Row) => ReactNode) | undefined;
  /** Which columns are shown, and how wide: another text draws the cells anew. */
  columns: string;
  isCurrent: boolean;
  isSelected: boolean | undefined;
  isFaint: boolean;
  onFocus: (index: number) => void;
  onToggle: ((row: Row) => void) | undefined;
  onOpen: ((row: Row) => void) | undefined;
}

function UncachedRow<Row extends RowData>(props: TableRowProps<Row>) {
  const { row, index, onToggle, onOpen, renderCard } = props;
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.target !== event.currentTarget) return;
    onOpen?.(row.original);
  };
  /** A click opens the row too, unless it meant something in it, or the end of a selection. */
  const onClick = (event: MouseEvent) => {
    const isMeant = (event.target as Element).closest("a, button, input, label");
    if (!isMeant && getSelection()?.isCollapsed !== false) onOpen?.(row.original);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: see the grid
    <div
      role="row"
      aria-rowindex={index + 2}
      aria-selected={props.isSelected}
      tabIndex={props.isCurrent ? 0 : -1}
      ref={props.measure}
      data-index={index}
      data-selected={props.isSelected || undefined}
      data-faint={props.isFaint || undefined}
      data-opens={onOpen ? true : undefined}
      className={renderCard ? classes.card : classes.row}
      style={{ height: props.height, transform: `translateY(${props.start}px)` }}
      onFocus={() => props.onFocus(index)}
      onKeyDown={onKeyDown}
      onClick={onOpen && onClick}
    >
      {onToggle && (
        // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: see the grid
        <span role="gridcell" className={classes.cell}>
          <input
            type="checkbox"
            className={classes.checkbox}
            aria-label="Select the row"
            checked={props.isSelected ?? false}
            onChange={() => onToggle(row.original)}
            tabIndex={-1}
          />
        </span>
      )}
      {renderCard ? (
        // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: see the grid
        <div role="gridcell" className={classes.cardBody}>
          {renderCard(row.original)}
        </div>
      ) : (
        row.getVisibleCells().map((cell) => (
          // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: see the grid
          <span
            key={cell.id}
            role="gridcell"
            className={classes.cell}
            data-align={cell.column.columnDef.meta?.align}
          >
            {flexRender(cell.column.columnDef.cell, cell.getContext())}
          </span>
        ))
      )}
    </div>
  );
}

/**
 * One row, as cells or as a card.
 *
 * Drawn again only when its own data or look is another one: scrolling draws just what comes into view.
 */
export const TableRow = memo(UncachedRow, (before, after) => {
  const names = Object.keys(after) as (keyof typeof after)[];
  return names.every((name) =>
    // The table makes new rows of the same data whenever any of it changes.
    name === "row" ? before.row.original === after.row.original : before[name] === after[name],
  );
}) as typeof UncachedRow;
