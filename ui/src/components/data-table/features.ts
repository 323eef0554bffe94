import {
  type ColumnDef,
  columnVisibilityFeature,
  metaHelper,
  type RowData,
  tableFeatures,
} from "@tanstack/react-table";

/** How a column is laid out. */
export interface ColumnLayout {
  /** A track of a CSS grid, such as `120px` or `minmax(200px, 1fr)`. */
  readonly width: string;
  /** Numbers are aligned at their end. */
  readonly align?: "end";
}

/** What our tables can do: the server sorts and filters, so they only draw. */
export const features = tableFeatures({
  columnVisibilityFeature,
  columnMeta: metaHelper<ColumnLayout>(),
});

/** A column of a `DataTable`. */
export type DataColumn<Row extends RowData> = ColumnDef<typeof features, Row> & {
  readonly id: string;
  readonly meta: ColumnLayout;
};
