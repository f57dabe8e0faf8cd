/**
 * Text so far in the database: at most two small writes a second for each job, however often its worker posts. A node
 * writes what it has when its time has come, whole, with the job's heartbeat in the same statement. Neither raises the
 * chapter's version, and nothing of it is in the log.
 *
 * Rows are read with the log (`events.ts`), and only those of a job's current attempt. What is left of others is deleted
 * now and then.
 */
import { sql } from 'drizzle-orm'
import type { JobKind } from '../contract/job.js'
import { type Db, prepare } from './prepared.js'
import { hasStatus, namedJob, recordset, recordValues } from './records.js'
import * as table from './schema.js'

export interface PartialRow {
  kind: JobKind
  jobId: string
  attempt: number
  stamp: number
  length: number
  /** Text; of a quiz its questions as JSON. */
  content: string
}

export interface PartialWrite extends Omit<PartialRow, 'stamp' | 'length' | 'content'> {
  chapterId: number
  /** null: it has not changed since the last write. */
  text: Pick<PartialRow, 'stamp' | 'length' | 'content'> | null
  /** A heartbeat, ms since the epoch; null: the last one is not long ago. */
  heartbeat: { at: number; deadlineAt: number } | null
}

/** `busy`: somebody else is writing the job at this moment, so nothing was written. */
export type PartialOutcome = 'written' | 'busy' | 'not current'

export interface PartialStore {
  /** In the order of the writes. A row of the same attempt with a later stamp stays as it is. */
  write(writes: PartialWrite[]): Promise<PartialOutcome[]>
  /** Deletes rows that are not of a job's current attempt. */
  deleteEnded(): Promise<void>
}

/** @param isExclusive no other process uses the database. PGlite has no autovacuum */
export function createPartialStore(db: Db, isExclusive: boolean): PartialStore {
  const write = prepare<{ place: number | string; isWritten: boolean }>(db, 'write_partials', WRITE)
  const deleteEnded = prepare<{ left: number | string }>(db, 'delete_partials', DELETE_ENDED)
  const truncate = prepare(db, 'truncate_partials', sql`truncate partial`)
  let writes = 0

  return {
    async write(list) {
      writes += list.length
      const records = list.map(({ text, heartbeat, ...work }, place) => ({
        place,
        ...work,
        ...(text ?? {}),
        ...(heartbeat ?? {}),
      }))
      const rows = await write({ writes: JSON.stringify(records) })
      const known = new Map(rows.map(({ place, isWritten }) => [Number(place), isWritten]))
      return list.map((_, place) => {
        const isWritten = known.get(place)
        return isWritten === undefined ? 'not current' : isWritten ? 'written' : 'busy'
      })
    },
    async deleteEnded() {
      const [row] = await deleteEnded({})
      // The embedded database never gives back the room of rows that were changed.
      if (isExclusive && writes > 0 && Number(row?.left ?? 0) === 0) {
        writes = 0
        await truncate({})
      }
    },
  }
}

const COLUMNS = ['chapterId', 'kind', 'jobId', 'attempt', 'stamp', 'length', 'content']

/** Skips jobs that a write has locked, so that it can never deadlock with one; their time comes again soon. */
const WRITE = sql`
with x as materialized (
  select * from ${recordset(table.partial, 'writes', COLUMNS, {
    place: 'integer',
    at: 'float8',
    deadlineAt: 'float8',
  })}
), current as materialized (
  select x.place from x, ${namedJob('published', { lock: false })}
), held as materialized (
  select x.* from x join current using (place), ${namedJob('published')}
), heard as (
  update job set last_sign_at = to_timestamp(x.at / 1000),
    deadline_at = greatest(job.deadline_at, to_timestamp(x."deadlineAt" / 1000))
  from held x
  where job.chapter_id = x."chapterId" and job.kind = x.kind and x.at is not null
), stored as (
  insert into partial as p (chapter_id, kind, job_id, attempt, stamp, length, content)
  select ${recordValues(table.partial, COLUMNS)} from held x where x.stamp is not null
  order by x."chapterId", x.kind
  on conflict (chapter_id, kind) do update set job_id = excluded.job_id, attempt = excluded.attempt,
    stamp = excluded.stamp, length = excluded.length, content = excluded.content
  where p.stamp < excluded.stamp or p.job_id <> excluded.job_id or p.attempt <> excluded.attempt
)
select current.place, held.place is not null as "isWritten" from current left join held using (place)`

const DELETE_ENDED = sql`
with ended as (
  delete from partial p
  where not exists (
    select from job j
    where j.chapter_id = p.chapter_id and j.kind = p.kind and j.job_id = p.job_id and j.attempt = p.attempt
      and ${hasStatus('j', 'published')}
    offset 0)
  returning 1
)
select (select count(*) from partial) - (select count(*) from ended) as left`
