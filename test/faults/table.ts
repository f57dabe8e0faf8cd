/** The report as two tables in Markdown: the promises, and how late events were for each fault. */
import { type Lateness, quantiles, type Row } from './lateness.js'
import { type Findings, PROMISES, type Promised } from './promises.js'
import type { FaultKind } from './schedule.js'

export function promisesTable(counts: Findings['counts']): string {
  let before = ''
  const rows = (Object.keys(PROMISES) as Promised[]).map((name) => {
    const [promise, breach] = PROMISES[name]
    const shown = promise === before ? '' : promise
    before = promise
    return [shown, breach, counts[name].toLocaleString('en')]
  })
  return tableOf([['Promise', 'What would break it', 'Found'], ['---', '---', '--:'], ...rows])
}

export interface FaultRow {
  kind: FaultKind
  times: number
  /** Until every node said that all is well, ms. */
  wellAfterMs: readonly number[]
  /** Why it was not made. */
  skipped?: string | undefined
}

export function latenessTable(faults: readonly FaultRow[], lateness: ReadonlyMap<Row, Lateness>): string {
  const cells = (row: Row, side: keyof Lateness) =>
    quantiles(lateness.get(row)?.[side] ?? [])
      ?.map(msOf)
      .join(' / ') ?? ''
  const eventsOf = (row: Row) => (lateness.get(row)?.during.length ?? 0).toLocaleString('en')
  const rows = faults.map(({ kind, times, wellAfterMs, skipped }) =>
    skipped === undefined
      ? [
          kind,
          String(times),
          eventsOf(kind),
          cells(kind, 'during'),
          cells(kind, 'after'),
          wellAfterMs.length === 0 ? '' : msOf(Math.max(...wellAfterMs)),
        ]
      : [kind, 'skipped', skipped, '', '', ''],
  )
  const others = (['two at once', 'no fault'] as const).map((row) => [
    row,
    '',
    eventsOf(row),
    cells(row, 'during'),
    '',
    '',
  ])
  return tableOf([
    [
      'Fault',
      'Times',
      'Events heard',
      'Late, p50 / p99 / max ms',
      'In the 5 s after',
      'Nodes well again, last ms',
    ],
    ['---', '--:', '--:', '--:', '--:', '--:'],
    ...rows,
    ...others,
  ])
}

function msOf(ms: number): string {
  return Math.round(ms).toLocaleString('en')
}

function tableOf(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
