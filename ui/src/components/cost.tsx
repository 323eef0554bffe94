import { formatCost } from "@/lib/format";

/** What something cost in dollars; a dash while that is not known. */
export function Cost({ dollars }: { dollars: number | null }) {
  if (dollars === null) return <span>–</span>;
  return (
    <span className="numeric" title={`$${dollars}`}>
      {formatCost(dollars)}
    </span>
  );
}
