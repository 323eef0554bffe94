import type { ReactTable, RowData } from "@tanstack/react-table";
import classes from "./data-table.module.css";
import type { features } from "./features";

interface HeaderRowProps<Row extends RowData> {
  table: ReactTable<typeof features, Row>;
  isSelectable: boolean;
  /** Cards say themselves what they show; readers hear the headers all the same. */
  isHidden: boolean;
}

/** The names of the columns. */
export function HeaderRow<Row extends RowData>(props: HeaderRowProps<Row>) {
  const { table, isSelectable, isHidden } = props;
  return (
    // biome-ignore lint/a11y/useSemanticElements: see the grid
    <div role="rowgroup" className={isHidden ? "visually-hidden" : classes.head}>
      {table.getHeaderGroups().map((group) => (
        // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: headers do nothing
        <div key={group.id} role="row" aria-rowindex={1} className={classes.headRow}>
          {isSelectable && (
            // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: see above
            <span role="columnheader" className={classes.cell}>
              <span className="visually-hidden">Selected</span>
            </span>
          )}
          {group.headers.map((header) => (
            // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: see above
            <span
              key={header.id}
              role="columnheader"
              className={classes.cell}
              data-align={header.column.columnDef.meta?.align}
            >
              {header.isPlaceholder ? null : <table.FlexRender header={header} />}
            </span>
          ))}
        </div>
      ))}
    </div>
  );
}
