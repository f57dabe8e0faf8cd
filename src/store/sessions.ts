/**
 * What a Socket.IO session must not lose: its rooms, where any node finds them. They are remembered in the
 * joins’ own read (`events.ts`); here they are found again, left and forgotten.
 *
 * A session may be resumed while its connection lives, for `ttlMs` after it ended, and for `ttlMs` after its node
 * was last seen: a node that was killed says nothing. Whoever resumes it has it alone. The connection before may be
 * on another node and not know; it can no longer change the session.
 */
import { sql } from 'drizzle-orm'
import { toInstant } from '../contract/wire.js'
import { type Db, jsonParameter, prepare } from './prepared.js'

/** A room to be remembered with the read of a join. */
export interface RememberedRoom {
  pid: string
  /** Or `roomOfCourse`. */
  chapterId: number
  /** The cursor of the session’s last join of this room. */
  afterSeq: number
  nodeId: string
}

export interface SessionStore {
  /** Says that this node is alive. */
  seen(nodeId: string, now: number): Promise<void>
  /**
   * Resumes sessions: their rooms, by pid; nothing for one that is not known or too old. Rooms beyond `maxRooms` a
   * session are deleted; those of the newest chapters are kept.
   */
  resume(
    pids: string[],
    nodeId: string,
    limits: { now: number; ttlMs: number; maxRooms: number },
  ): Promise<Map<string, SessionRoom[]>>
  /** Their connections ended; the rooms are kept for a while. */
  disconnected(pids: string[], nodeId: string, now: number): Promise<void>
  /** Only while this node has the session: its client may be back on another one. */
  forgetRooms(rooms: { pid: string; chapterId: number }[], nodeId: string): Promise<void>
  /** As `forgetRooms`, all of them. */
  forget(pids: string[], nodeId: string): Promise<void>
  /** The chapters are gone. Rooms that are being written at this moment are left to their expiry. */
  forgetChapters(chapterIds: number[]): Promise<void>
  /** Deletes what can no longer be resumed. @returns how many rooms */
  deleteExpired(now: number, ttlMs: number): Promise<number>
}

export interface SessionRoom {
  /** Or `roomOfCourse`. */
  chapterId: number
  afterSeq: number
}

/** What stands for a course's room in the place of a chapter's id: ids are positive, so its negative is free. */
export function roomOfCourse(courseId: number): number {
  return -courseId
}

/** @returns undefined when it is a chapter's room */
export function courseOfRoom(id: number): number | undefined {
  return id < 0 ? -id : undefined
}

export function createSessionStore(db: Db): SessionStore {
  const seen = prepare(db, 'node_seen', NODE_SEEN)
  const resume = prepare<{ pid: string; chapter_id: number | string; after_seq: number | string }>(
    db,
    'session_resume',
    RESUME,
  )
  const disconnected = prepare(db, 'session_disconnected', DISCONNECTED)
  const forgetRooms = prepare(db, 'session_forget_rooms', FORGET_ROOMS)
  const forget = prepare(db, 'session_forget', FORGET)
  const forgetChapters = prepare(db, 'session_forget_chapters', FORGET_CHAPTERS)
  const deleteExpired = prepare(db, 'session_expired', DELETE_EXPIRED)

  return {
    async seen(nodeId, now) {
      await seen({ nodeId, now: toInstant(now) })
    },
    async resume(pids, nodeId, { now, ttlMs, maxRooms }) {
      const rows = await resume({
        pids: JSON.stringify(pids),
        nodeId,
        since: toInstant(now - ttlMs),
        maxRooms,
      })
      const rooms = new Map<string, SessionRoom[]>()
      for (const { pid, chapter_id, after_seq } of rows) {
        const ofSession = rooms.get(pid) ?? []
        rooms.set(pid, ofSession)
        ofSession.push({ chapterId: Number(chapter_id), afterSeq: Number(after_seq) })
      }
      return rooms
    },
    async disconnected(pids, nodeId, now) {
      await disconnected({ pids: JSON.stringify(pids), nodeId, now: toInstant(now) })
    },
    async forgetRooms(rooms, nodeId) {
      await forgetRooms({
        nodeId,
        rooms: JSON.stringify(rooms.map(({ pid, chapterId }) => ({ pid, chapter_id: chapterId }))),
      })
    },
    async forget(pids, nodeId) {
      await forget({ pids: JSON.stringify(pids), nodeId })
    },
    async forgetChapters(chapterIds) {
      await forgetChapters({ chapterIds: chapterIds.join() })
    },
    async deleteExpired(now, ttlMs) {
      return (await deleteExpired({ since: toInstant(now - ttlMs) })).length
    },
  }
}

const pids = sql`(select x from json_array_elements_text(${jsonParameter('pids')}) x)`
const nodeId = sql`${sql.placeholder('nodeId')}::uuid`
const now = sql`${sql.placeholder('now')}::timestamptz`
const since = sql`${sql.placeholder('since')}::timestamptz`

const NODE_SEEN = sql`
insert into node (id, seen_at) values (${nodeId}, ${now}) on conflict (id) do update set seen_at = excluded.seen_at`

const RESUME = sql`
with found as materialized (
  select pid, chapter_id, row_number() over (partition by pid order by chapter_id desc) as place
  from session_room
  where pid in ${pids}
    and (left_at > ${since} or left_at is null and node_id in (select id from node where seen_at > ${since}))
), surplus as (
  delete from session_room s using found
  where found.place > ${sql.placeholder('maxRooms')}::int
    and s.pid = found.pid and s.chapter_id = found.chapter_id
)
update session_room s set node_id = ${nodeId}, left_at = null
from found
where found.place <= ${sql.placeholder('maxRooms')}::int
  and s.pid = found.pid and s.chapter_id = found.chapter_id
returning s.pid, s.chapter_id, s.after_seq`

/** Only this node’s: the session may be on another one already. */
const DISCONNECTED = sql`
update session_room set left_at = ${now} where pid in ${pids} and node_id = ${nodeId} and left_at is null`

const FORGET_ROOMS = sql`
delete from session_room s
using json_to_recordset(${jsonParameter('rooms')}) as x(pid text, chapter_id bigint)
where s.pid = x.pid and s.chapter_id = x.chapter_id and s.node_id = ${nodeId}`

const FORGET = sql`delete from session_room where pid in ${pids} and node_id = ${nodeId}`

/** Reads all rooms, which is rare enough to need no index that every join would write. */
const FORGET_CHAPTERS = sql`
with gone as materialized (
  select pid, chapter_id from session_room
  where chapter_id = any(string_to_array(${sql.placeholder('chapterIds')}::text, ',')::bigint[])
  for update skip locked
)
delete from session_room s using gone where s.pid = gone.pid and s.chapter_id = gone.chapter_id`

const DELETE_EXPIRED = sql`
with gone as (
  delete from node where seen_at < ${since} returning id
)
delete from session_room
where left_at < ${since}
  or left_at is null and node_id in (select id from gone)
returning pid`
