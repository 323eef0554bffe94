// @ts-check

/** The value that this share of all, in percent, does not exceed. */
export function percentile(/** @type {readonly number[]} */ values, /** @type {number} */ percent) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)];
}
