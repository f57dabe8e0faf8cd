/**
 * Rows as a table for a terminal. What comes from elsewhere may hold anything, so control characters are left out.
 */

/** Cells longer than this are cut, in characters. */
const CELL_MAX = 60

export type Cell = string | number | boolean | null | undefined

/** @param columns the title of each, in order */
export function tableOf(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map((row) => row.map(cellOf))
  const widths = columns.map((title, index) =>
    Math.max(widthOf(title), ...cells.map((row) => widthOf(row[index] ?? ''))),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => cell + ' '.repeat(Math.max(0, (widths[index] ?? 0) - widthOf(cell))))
      .join('  ')
      .trimEnd()
  return [line(columns), ...cells.map(line)].join('\n')
}

export function cellOf(value: Cell): string {
  if (value === null || value === undefined) return '-'
  const text = String(value).replaceAll(/\p{Cc}+/gu, ' ')
  const characters = [...text]
  return characters.length <= CELL_MAX ? text : `${characters.slice(0, CELL_MAX - 1).join('')}…`
}

/** Korean and other wide characters take two columns. */
function widthOf(text: string): number {
  let width = 0
  for (const character of text)
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/.test(
        character,
      )
        ? 2
        : 1
  return width
}
