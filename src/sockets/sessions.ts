/**
 * A stock Socket.IO client that comes back, to any node and also after its node was killed, is back in its rooms by
 * itself. Socket.IO gives each client a session id (`pid`) which it returns when it next connects; here it leads to
 * the session’s rooms, which are joined again and replayed from each room’s last join.
 *
 * - A session belongs to one client: with client authentication on it is stored under the `pid` and the token’s
 *   `sub` together, so another client’s `pid` leads nowhere and changes nothing.
 * - A session belongs to one connection, the last that came back with its `pid`. Earlier ones are no longer
 *   remembered, so a session holds at most `maxRooms` rooms, however many connections use one `pid`.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { createBatcher } from '../async/batcher.js'
import { repeat } from '../async/repeat.js'
import type { Identity } from '../auth/access.js'
import {
  courseOfRoom,
  type RememberedRoom,
  roomOfCourse,
  type SessionRoom,
  type SessionStore,
} from '../store/sessions.js'
import type { ChapterSocket } from './chapter-io.js'

export interface Sessions {
  /** Before the connection: gives the socket its old pid if its session is known, else a new one. */
  begin(socket: ChapterSocket, identity: Identity): Promise<void>
  /** The rooms that the session comes back to. */
  roomsOf(socket: ChapterSocket): SessionRoom[]
  /** What a join of this socket is to remember, if it has a session. */
  remember(socket: ChapterSocket, chapterId: number, afterSeq: number): RememberedRoom | undefined
  leaveRoom(socket: ChapterSocket, chapterId: number): void
  /** The same three for courses. */
  coursesOf(socket: ChapterSocket): number[]
  rememberCourse(socket: ChapterSocket, courseId: number): RememberedRoom | undefined
  leaveCourse(socket: ChapterSocket, courseId: number): void
  /** @param isForGood the client said goodbye, or was told to stay away */
  end(socket: ChapterSocket, isForGood: boolean): void
  /** Writes all pending changes. */
  close(): Promise<void>
}

export interface SessionsOptions {
  store: SessionStore
  nodeId: string
  ttlMs: number
  /** Rooms that a session comes back to. */
  maxRooms: number
  now: () => number
  log: FastifyBaseLogger
}

interface Session {
  /** What it is stored under. */
  key: string
  rooms: SessionRoom[]
  /** False once another connection resumed it: what this one does no longer changes the session. */
  isHeld: boolean
  /** Its connection has ended; a join that was under way may still come. */
  hasEnded: boolean
  /** Its client said goodbye. */
  isOver: boolean
  /** Stops waiting for the end of its connection. */
  unwatch: () => void
}

/** Least time between two heartbeats of a node, ms. */
const MIN_SEEN_MS = 500

export function createSessions({ store, nodeId, ttlMs, maxRooms, now, log }: SessionsOptions): Sessions {
  const sessions = new WeakMap<ChapterSocket, Session>()
  /** By key: whose connection is open here. */
  const open = new Map<string, Session>()
  const unwritten = new Set<Promise<unknown>>()
  const onError = (error: unknown) =>
    log.warn({ err: error }, 'sessions could not be written; clients may have to join again')

  const readRooms = createBatcher(async (keys: string[]) => {
    const rooms = await store.resume(keys, nodeId, { now: present(), ttlMs, maxRooms })
    return keys.map((key) => rooms.get(key))
  })
  const disconnected = createBatcher((pids: string[]) =>
    answered(store.disconnected(pids, nodeId, now()), pids),
  )
  const forget = createBatcher((pids: string[]) => answered(store.forget(pids, nodeId), pids))
  const forgetRoom = createBatcher((rooms: { pid: string; chapterId: number }[]) =>
    answered(store.forgetRooms(rooms, nodeId), rooms),
  )

  const seenMs = Math.max(MIN_SEEN_MS, ttlMs / 10)
  /** Every node sends a heartbeat in this time, unless it cannot. */
  const turnsMs = 3 * seenMs
  let seenAt = now()
  let stoodAt = seenAt
  let standsUntil = seenAt + turnsMs

  /**
   * Session clock. Frozen while no node can send heartbeats, because the database is away, and afterwards until every
   * node had time for one.
   */
  function present(): number {
    const at = now()
    if (at - seenAt > turnsMs) return seenAt
    return at < standsUntil ? stoodAt : at
  }

  const seen = repeat(
    async () => {
      await store.seen(nodeId, now())
      const at = now()
      if (at - seenAt > turnsMs) {
        stoodAt = present()
        standsUntil = at + turnsMs
      }
      seenAt = at
      if (at >= standsUntil) await store.deleteExpired(at, 2 * ttlMs)
      return false
    },
    seenMs,
    onError,
  )
  seen.soon()

  function write(done: Promise<unknown>): void {
    const written = done.catch(onError).finally(() => unwritten.delete(written))
    unwritten.add(written)
  }

  /** The session of a socket, while it is still its own. */
  function heldBy(socket: ChapterSocket): Session | undefined {
    const session = sessions.get(socket)
    return session?.isHeld === true ? session : undefined
  }

  /** @returns undefined when it is not known; then nothing has changed */
  async function resume(key: string): Promise<Session | undefined> {
    const older = open.get(key)
    // Before the database is asked: the end of that connection must not end the session that is resumed now.
    if (older !== undefined) older.isHeld = false
    let rooms: SessionRoom[] | undefined
    try {
      rooms = await readRooms(key)
    } finally {
      if (older !== undefined && rooms === undefined) {
        older.isHeld = true
        if (older.hasEnded) write(disconnected(key))
      }
    }
    return rooms === undefined ? undefined : newSession(key, rooms)
  }

  function hold(socket: ChapterSocket, session: Session): void {
    const older = open.get(session.key)
    if (older !== undefined) older.isHeld = false
    open.set(session.key, session)
    sessions.set(socket, session)
    // Socket.IO reports nothing else of a connection that closes before it is admitted.
    const onClose = () => end(socket, false)
    session.unwatch = () => socket.conn.off('close', onClose)
    if (socket.conn.readyState === 'open') socket.conn.on('close', onClose)
    else onClose()
  }

  function end(socket: ChapterSocket, isForGood: boolean): void {
    const session = sessions.get(socket)
    if (session === undefined) return
    session.unwatch()
    session.hasEnded = true
    // May be called again after a join that was on its way; a goodbye stays a goodbye.
    session.isOver ||= isForGood
    if (open.get(session.key) === session) open.delete(session.key)
    if (session.isHeld) write(session.isOver ? forget(session.key) : disconnected(session.key))
  }

  function remember(socket: ChapterSocket, chapterId: number, afterSeq: number): RememberedRoom | undefined {
    const session = heldBy(socket)
    return session === undefined ? undefined : { pid: session.key, chapterId, afterSeq, nodeId }
  }

  function leaveRoom(socket: ChapterSocket, chapterId: number): void {
    const session = heldBy(socket)
    if (session !== undefined) write(forgetRoom({ pid: session.key, chapterId }))
  }

  return {
    async begin(socket, identity) {
      const { pid, resume: isWanted } = socket.handshake.auth as { pid?: unknown; resume?: unknown }
      // A client that joins by itself has no use for a session.
      if (isWanted === false) return
      const owner = ownerOf(identity)
      const known = isPid(pid) ? await resume(keyOf(pid, owner)) : undefined
      const ownPid = known !== undefined && isPid(pid) ? pid : randomBytes(15).toString('base64url')
      setPid(socket, ownPid)
      hold(socket, known ?? newSession(keyOf(ownPid, owner), []))
    },
    roomsOf: (socket) =>
      (sessions.get(socket)?.rooms ?? []).filter(({ chapterId }) => courseOfRoom(chapterId) === undefined),
    remember,
    leaveRoom,
    coursesOf: (socket) =>
      (sessions.get(socket)?.rooms ?? []).flatMap(({ chapterId }) => courseOfRoom(chapterId) ?? []),
    rememberCourse: (socket, courseId) => remember(socket, roomOfCourse(courseId), 0),
    leaveCourse: (socket, courseId) => leaveRoom(socket, roomOfCourse(courseId)),
    end,
    async close() {
      await seen.stop()
      await Promise.all(unwritten)
    },
  }
}

function newSession(key: string, rooms: SessionRoom[]): Session {
  return { key, rooms, isHeld: true, hasEnded: false, isOver: false, unwatch() {} }
}

async function answered(done: Promise<void>, items: unknown[]): Promise<undefined[]> {
  await done
  return items.map(() => undefined)
}

function isPid(pid: unknown): pid is string {
  return typeof pid === 'string' && /^[\w-]{1,100}$/.test(pid)
}

/** The owner of a session; undefined while client authentication is off. */
function ownerOf({ subject, access }: Identity): string | undefined {
  if (access.kind === 'anyone') return undefined
  if (subject !== undefined) return `sub ${subject}`
  if (access.kind !== 'viewer') return access.kind
  // A token without a `sub` is identified by what it may watch.
  const [chapters, courses] = [access.chapterIds, access.courseIds].map((ids) =>
    [...ids].sort((a, b) => a - b),
  )
  return `viewer ${chapters} ${courses}`
}

/** The key of a stored session. A pid has no dot, so it can never be another client’s key. */
function keyOf(pid: string, owner: string | undefined): string {
  if (owner === undefined) return pid
  return `o.${createHash('sha256').update(`${owner}\0${pid}`).digest('base64url')}`
}

/** Socket.IO keeps it private, and sends it with the connection’s first packet. */
function setPid(socket: ChapterSocket, pid: string): void {
  ;(socket as unknown as { pid: string }).pid = pid
}
