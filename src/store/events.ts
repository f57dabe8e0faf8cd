/**
 * The event log: read from a cursor for many chapters in one query, and deleted whole after its retention.
 */
import { sql } from 'drizzle-orm'
import type { ChapterStatus } from '../contract/chapter.js'
import type { ChapterEvent, ProgressUpdate } from '../contract/event.js'
import type { JobKind } from '../contract/job.js'
import { toInstant } from '../contract/wire.js'
import type { PartialRow } from './partials.js'
import { type Db, jsonParameter, prepare } from './prepared.js'
import { hasStatus, recordFields, recordset } from './records.js'
import * as table from './schema.js'
import type { RememberedRoom } from './sessions.js'

/** One chapter and what the reader has of it. */
export interface LogCursor {
  chapterId: number
  /** Events up to here are not wanted; beyond the end of the log it means 0. */
  after: number
}

/** A chapter’s log from a cursor to its end, and where the chapter stood at that moment. */
export interface LogPage {
  chapterId: number
  courseId: number
  ownerId: number
  status: ChapterStatus
  progress: number
  /** 0 while there is none. */
  progressVersion: number
  latestProgress: ProgressUpdate | null
  lastSeq: number
  /** The first seq that the log still has; `lastSeq + 1` once it was deleted. */
  logFrom: number
  /** In order, without a gap from `max(after + 1, logFrom)` on. */
  events: ChapterEvent[]
  /** Text so far of what is being written at that moment. */
  partials: PartialRow[]
}

/** What a reader has of a chapter that is not in the log. */
export interface NewsCursor extends LogCursor {
  progressVersion: number
  /** Stamps of the text so far. */
  partials?: Partial<Record<JobKind, number>>
}

export interface EventStore {
  /**
   * One page per chapter that exists, by chapter id; of one snapshot.
   * @param remember rooms of sessions, written in the same statement
   */
  readPages(cursors: LogCursor[], remember?: RememberedRoom[]): Promise<Map<number, LogPage>>
  /**
   * As `readPages`, but only of chapters whose log ends elsewhere, or that have a newer progress or text; null for one
   * that the reader has events of and that was deleted.
   */
  readNews(cursors: NewsCursor[]): Promise<Map<number, LogPage | null>>
  /** Deletes the logs of chapters that ended before. @returns how many chapters; call again while it is `limit` */
  deleteLogsEndedBefore(before: number, limit: number): Promise<number>
  /** Forgets idempotency keys older than that. @returns how many */
  deleteKeysBefore(before: number): Promise<number>
}

export function createEventStore(db: Db): EventStore {
  const pages = prepare<{ page: LogPage }>(db, 'read_pages', readPages(sql`true`))
  const joins = prepare<{ page: LogPage }>(
    db,
    'read_pages_for_joins',
    sql`${REMEMBER} ${readPages(sql`true`)}`,
  )
  const news = prepare<{ page: LogPage | { chapterId: number; lastSeq: null } }>(
    db,
    'read_news',
    // A log that ends before the reader's cursor comes from a restored database.
    readPages(
      sql`(c.last_seq <> wanted.after or c.progress_version > wanted."progressVersion"
        or c.id is null and wanted.after > 0
        or c.status = 'processing' and exists (select ${CURRENT_PARTIALS}))`,
      sql`left join`,
    ),
  )
  const deleteLogs = prepare(db, 'delete_logs', DELETE_LOGS)
  const deleteKeys = prepare(db, 'delete_keys', DELETE_KEYS)
  const byChapter = (rows: { page: LogPage }[]) => new Map(rows.map(({ page }) => [page.chapterId, page]))

  return {
    async readPages(cursors, remember = []) {
      if (cursors.length === 0) return new Map()
      const values = { cursors: JSON.stringify(cursors) }
      if (remember.length === 0) return byChapter(await pages(values))
      return byChapter(await joins({ ...values, rooms: JSON.stringify(rememberedRooms(remember)) }))
    },
    async readNews(cursors) {
      if (cursors.length === 0) return new Map()
      const rows = await news({ cursors: JSON.stringify(cursors) })
      return new Map(rows.map(({ page }) => [page.chapterId, page.lastSeq === null ? null : page]))
    },
    async deleteLogsEndedBefore(before, limit) {
      return (await deleteLogs({ before: toInstant(before), limit })).length
    },
    async deleteKeysBefore(before) {
      return (await deleteKeys({ before: toInstant(before) })).length
    },
  }
}

/**
 * What a join’s read begins with: it writes the `rememberedRooms`, its parameter `rooms`.
 * Writes rows in one order, because two nodes may write the same session. A session that another node has resumed is
 * left alone.
 */
export const REMEMBER = sql`
with remembered as (
  insert into session_room (pid, chapter_id, after_seq, node_id)
  select x.pid, x."chapterId", x."afterSeq", x."nodeId"
  from ${recordset(table.sessionRoom, 'rooms', ['pid', 'chapterId', 'afterSeq', 'nodeId'])}
  where not exists (
    select from session_room held
    where held.pid = x.pid and held.node_id <> x."nodeId" and held.left_at is null)
  order by 1, 2
  on conflict (pid, chapter_id) do update set
    after_seq = excluded.after_seq, node_id = excluded.node_id, left_at = null
)`

/** If a room was joined twice, the last join counts. */
export function rememberedRooms(rooms: RememberedRoom[]): RememberedRoom[] {
  return [...new Map(rooms.map((room) => [`${room.pid} ${room.chapterId}`, room])).values()]
}

const PAGE_KEYS = [
  'courseId',
  'ownerId',
  'status',
  'progress',
  'progressVersion',
  'latestProgress',
  'lastSeq',
  'logFrom',
] satisfies (keyof LogPage)[]

const PARTIAL_KEYS = ['kind', 'jobId', 'attempt', 'stamp', 'length', 'content'] satisfies (keyof PartialRow)[]

/** Of an attempt that goes on, and later than what the reader has. */
const CURRENT_PARTIALS = sql`
    from partial p join job j on j.chapter_id = p.chapter_id and j.kind = p.kind
    where p.chapter_id = c.id and ${hasStatus('j', 'published')} and j.job_id = p.job_id and j.attempt = p.attempt
      and p.stamp > coalesce((wanted.partials ->> p.kind)::bigint, 0)`

const readPages = (condition: ReturnType<typeof sql>, join = sql`join`) => sql`
select json_build_object(
  'chapterId', wanted."chapterId", ${recordFields(table.chapter, 'c', PAGE_KEYS)},
  'events', (
    select coalesce(json_agg(json_build_object('name', e.name, 'payload', e.payload) order by e.seq), '[]')
    from event e
    where e.chapter_id = c.id
      and e.seq > case when wanted.after > c.last_seq then 0 else wanted.after end),
  'partials', case when c.status = 'processing' then (
    select coalesce(json_agg(json_build_object(${recordFields(table.partial, 'p', PARTIAL_KEYS)})), '[]')
    ${CURRENT_PARTIALS}) else '[]' end) as page
from json_to_recordset(${jsonParameter('cursors')}) as wanted(
    "chapterId" bigint, after bigint, "progressVersion" bigint, partials json)
  ${join} chapter c on c.id = wanted."chapterId"
where ${condition}`

/** Like every write it raises the version, so that no decision made before it is written after it. */
const DELETE_LOGS = sql`
with ended as materialized (
  select id, last_seq from chapter
  where log_ended_at < ${sql.placeholder('before')}::timestamptz
  order by log_ended_at limit ${sql.placeholder('limit')}::int for update skip locked
), emptied as (
  update chapter set log_from = chapter.last_seq + 1, log_ended_at = null, version = version + 1
  from ended where chapter.id = ended.id
), deleted as (
  delete from event using ended where event.chapter_id = ended.id
), forgotten as (
  delete from attempt using ended where attempt.chapter_id = ended.id
)
select id from ended`

const DELETE_KEYS = sql`
delete from idempotency_key where created_at < ${sql.placeholder('before')}::timestamptz returning chapter_id`
