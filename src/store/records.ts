/**
 * Between rows and records, in SQL, from the tables' definitions. A record is a row as JSON: each field is named as in
 * `schema.ts` (`lastSeq` for the column `last_seq`), and an instant is a number of milliseconds since the epoch.
 * Statements give records and take lists of them, so no field is copied by hand between the database and the program.
 */
import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { JobStatus } from '../contract/job.js'
import { jsonParameter } from './prepared.js'

/** Names of a table's fields; all of them unless some are given. */
type Keys = readonly string[] | undefined

export function keysOf(table: PgTable, without: readonly string[] = []): string[] {
  return Object.keys(getTableColumns(table)).filter((key) => !without.includes(key))
}

/** `'lastSeq', c.last_seq, …`: arguments of `json_build_object`, from the row called `row`. */
export function recordFields(table: PgTable, row: string, keys?: Keys): SQL {
  return list(table, keys, (key, column) => {
    const value = `${row}."${column.name}"`
    return `'${key}', ${isInstant(column) ? `(date_part('epoch', ${value}) * 1000)::bigint` : value}`
  })
}

/** `json_to_recordset(…) as x("lastSeq" bigint, …)`: records given as the parameter `name`. */
export function recordset(table: PgTable, name: string, keys?: Keys, more: Record<string, string> = {}): SQL {
  const columns = entries(table, keys).map(
    ([key, column]) => `"${key}" ${isInstant(column) ? 'float8' : column.getSQLType()}`,
  )
  const others = Object.entries(more).map(([key, type]) => `"${key}" ${type}`)
  return sql`json_to_recordset(${jsonParameter(name)}) as x(${sql.raw([...columns, ...others].join(', '))})`
}

/** `last_seq, due_at`: the columns to insert into. */
export function columnNames(table: PgTable, keys?: Keys): SQL {
  return list(table, keys, (_key, column) => `"${column.name}"`)
}

/** `x."lastSeq", …`: the values of those columns, from the records `x`. */
export function recordValues(table: PgTable, keys?: Keys): SQL {
  return list(table, keys, fromRecord)
}

/** `last_seq = x."lastSeq", …` */
export function assignments(table: PgTable, keys?: Keys): SQL {
  return list(table, keys, (key, column) => `"${column.name}" = ${fromRecord(key, column)}`)
}

/** `question = excluded.question, …`: an insert's own values, in its `on conflict`. */
export function excludedAssignments(table: PgTable, keys?: Keys): SQL {
  return list(table, keys, (_key, column) => `"${column.name}" = excluded."${column.name}"`)
}

/**
 * The named work of each record `x`, if it has that status, as the row `job`: found by its key, one record after the
 * other, whatever the planner thinks of new tables. It would take the small index of all jobs with that status, or read
 * the table whole; so the status is hidden from it, and each record has a query of its own.
 * @param lock rows that a write has locked are skipped: so this can never deadlock with one
 */
export function namedJob(status: JobStatus, { and = sql`true`, lock = true } = {}): SQL {
  return sql`lateral (
    select chapter_id, kind from job
    where chapter_id = x."chapterId" and kind = x.kind and job_id = x."jobId" and attempt = x.attempt
      and ${hasStatus('job', status)} and ${and}
    ${lock ? sql`for no key update skip locked` : sql`offset 0`}) job`
}

/** For a row that is found by its key: PostgreSQL cannot use an index of all rows with that status for it. */
export function hasStatus(job: string, status: JobStatus): SQL {
  return sql.raw(`${job}.status = (select '${status}'::text)`)
}

/** The record's fields of these names. */
export function pick(record: object, keys: readonly string[]): Record<string, unknown> {
  const from = record as Record<string, unknown>
  const picked: Record<string, unknown> = {}
  for (const key of keys) picked[key] = from[key]
  return picked
}

function list(table: PgTable, keys: Keys, text: (key: string, column: PgColumn) => string): SQL {
  return sql.raw(
    entries(table, keys)
      .map(([key, column]) => text(key, column))
      .join(', '),
  )
}

function entries(table: PgTable, keys: Keys = keysOf(table)): [string, PgColumn][] {
  const columns = getTableColumns(table) as Record<string, PgColumn>
  return keys.map((key) => {
    const column = columns[key]
    if (column === undefined) throw new Error(`The table has no field ${key}`)
    return [key, column]
  })
}

function fromRecord(key: string, column: PgColumn): string {
  return isInstant(column) ? `to_timestamp(x."${key}" / 1000)` : `x."${key}"`
}

function isInstant(column: PgColumn): boolean {
  return column.getSQLType().startsWith('timestamp')
}
