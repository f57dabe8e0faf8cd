/**
 * Lists for operators read a bounded number of rows in the order of an index, and filter those. So a list costs the same
 * whatever is asked for, and however large the table is; in return a page may be short although more rows follow.
 */

/** As many rows one statement looks at. */
export const SCAN_ROWS = 5000

export interface BoundedPage<Item, Key> {
  items: Item[]
  /** How many rows were looked at; fewer than `SCAN_ROWS`: these were all. */
  scanned: number
  /** Of the row that was looked at last; null: there was none. */
  last: Key | null
}

/**
 * Of a page that was asked for one item more than is shown.
 * @returns what is shown, and where the next page begins after; null on the last one
 */
export function shownOf<Item, Key>(
  { items, scanned, last }: BoundedPage<Item, Key>,
  limit: number,
  keyOf: (item: Item) => Key,
  scanRows = SCAN_ROWS,
): { items: Item[]; next: Key | null } {
  const shown = items.slice(0, limit)
  const lastShown = shown.at(-1)
  if (items.length > limit && lastShown !== undefined) return { items: shown, next: keyOf(lastShown) }
  return { items: shown, next: scanned < scanRows ? null : last }
}
