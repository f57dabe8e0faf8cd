/**
 * Sockets in chapter rooms. Joins and leaves of one chapter on one connection take effect in the order they
 * came; the number of rooms, and of requests that wait, is bounded. A connection that ends gives all of its
 * shares back.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { type Access, type ChapterOwnership, mayRead } from '../auth/access.js'
import type { ErrorCode } from '../contract/problem.js'
import { type JoinedChapter, roomOf } from '../contract/socket.js'
import { AppError, ChapterNotFoundError, ForbiddenError, UnavailableError } from '../errors.js'
import { catchUp, type PageReader } from '../feed/catch-up.js'
import type { Feed, Room } from '../feed/feed.js'
import type { LogPage } from '../store/events.js'
import { failureKindOf } from '../store/failure.js'
import type { ChapterSocket } from './chapter-io.js'
import type { Sessions } from './sessions.js'

/** Joins and leaves that one connection may have waiting. */
const MAX_WAITING = 1000
/** How long those that are under way may hold a node that closes, ms. */
const CLOSE_MS = 2000
/** Pauses before a read is tried again while the database is away, ms: a minute. Most clients join only once. */
const READ_RETRIES_MS = [200, 500, 1000, 2000, ...Array<number>(14).fill(4000)]

export interface ChapterRooms {
  /** Rooms that the socket is in, or on its way to. */
  count(socket: ChapterSocket): number
  /** @throws {AppError} */
  join(socket: ChapterSocket, chapterId: number, after: number): Promise<JoinedChapter>
  /** As `join`, for a session that comes back: it does not count against the limit of joins. */
  rejoin(socket: ChapterSocket, chapterId: number, after: number): Promise<JoinedChapter>
  leave(socket: ChapterSocket, chapterId: number): Promise<void>
  /** Takes the socket out of rooms that its token, just refreshed, does not allow; it is told by `join_failed`. */
  leaveForbidden(socket: ChapterSocket): void
  /** The chapter is gone: these sockets are told and leave its room, which is forgotten. */
  leaveDeleted(sockets: Iterable<ChapterSocket>, chapterId: number, message: string): void
  /** Gives back all of a socket’s shares in rooms. */
  leaveAll(socket: ChapterSocket): void
  /**
   * Resolves when the joins and leaves so far are done, because sessions remember them; or soon, while the database
   * is away.
   */
  close(): Promise<void>
}

/** One connection’s membership in one chapter, or its way there. */
interface Membership {
  room: Room | undefined
  /** What permission depends on; undefined while the chapter does not exist. */
  chapter?: ChapterOwnership | undefined
  /** True if the last request was a join. A leave that waits counts as done. */
  isWanted: boolean
  waiting: number
  /** What was asked last; the next waits for it. */
  tail: Promise<unknown>
}

export function createChapterRooms(options: {
  feed: Feed
  readPage: PageReader
  maxRooms: number
  /** Rooms of other kinds that a socket is in: they count as well. */
  otherRooms: (socket: ChapterSocket) => number
  /** As of now: a refresh may have changed it. */
  accessOf: (socket: ChapterSocket) => Access
  /** Counts a join; rejects when there were too many. */
  limitJoin: (socket: ChapterSocket) => Promise<void>
  sessions: Pick<Sessions, 'remember' | 'leaveRoom' | 'end'>
  log: FastifyBaseLogger
}): ChapterRooms {
  const { feed, maxRooms, accessOf, limitJoin, sessions, log } = options
  const connections = new WeakMap<ChapterSocket, Map<number, Membership>>()
  const underWay = new Set<Promise<unknown>>()

  const membershipsOf = (socket: ChapterSocket): Map<number, Membership> => {
    const known = connections.get(socket) ?? new Map<number, Membership>()
    connections.set(socket, known)
    return known
  }

  /** Runs after whatever was asked before about this chapter on this connection. */
  async function inOrder<T>(
    socket: ChapterSocket,
    chapterId: number,
    isWanted: boolean,
    task: (membership: Membership) => Promise<T>,
  ): Promise<T> {
    const memberships = membershipsOf(socket)
    const membership: Membership = memberships.get(chapterId) ?? {
      room: undefined,
      isWanted,
      waiting: 0,
      tail: Promise.resolve(),
    }
    memberships.set(chapterId, membership)
    membership.isWanted = isWanted
    membership.waiting += 1
    const done = membership.tail.then(() => task(membership))
    const tail = done.catch(() => {})
    membership.tail = tail
    underWay.add(tail)
    try {
      return await done
    } finally {
      underWay.delete(tail)
      membership.waiting -= 1
      if (membership.room === undefined && membership.waiting === 0) memberships.delete(chapterId)
    }
  }

  async function enter(
    socket: ChapterSocket,
    chapterId: number,
    after: number,
    membership: Membership,
  ): Promise<JoinedChapter> {
    const remember = sessions.remember(socket, chapterId, after)
    const isWanted = () => socket.connected
    const readPage = patient(options.readPage, isWanted, log)
    if (membership.room !== undefined) {
      const page = await readPage(chapterId, membership.room.position ?? 0, remember)
      const joined = joinedChapter(chapterId, page)
      socket.emit('joined_chapter', joined)
      return joined
    }
    let joined: JoinedChapter = { chapter_id: chapterId }
    const wasAdmitted = await catchUp({
      feed,
      readPage,
      chapterId,
      after,
      remember,
      isWanted,
      onCaughtUp({ room, page, missed, isReset }) {
        const refusal = refusalTo(accessOf(socket), chapterId, page)
        if (refusal !== undefined) {
          room.close()
          sessions.leaveRoom(socket, chapterId)
          throw refusal
        }
        membership.room = room
        // Not the page itself, which holds the log.
        membership.chapter = page && { chapterId, ownerId: page.ownerId, courseId: page.courseId }
        void socket.join(roomOf(chapterId))
        joined = joinedChapter(chapterId, page, isReset)
        socket.emit('joined_chapter', joined)
        for (const { name, payload } of missed) emitTo(socket, name, payload)
        if (room.progress !== null) socket.emit('progress_update', room.progress.update)
        for (const { name, payload } of room.partials) emitTo(socket, name, payload)
      },
    })
    if (!wasAdmitted) {
      // The room may have been remembered after the session’s end, so the end is written again.
      sessions.end(socket, false)
      throw new UnavailableError('The connection ended')
    }
    return joined
  }

  async function join(
    socket: ChapterSocket,
    chapterId: number,
    after: number,
    limit: () => Promise<void>,
  ): Promise<JoinedChapter> {
    const memberships = membershipsOf(socket)
    if (
      memberships.get(chapterId)?.isWanted !== true &&
      wantedOf(memberships) + options.otherRooms(socket) >= maxRooms
    )
      throw new AppError('too_many_rooms', `One connection may be in ${maxRooms} chapters; leave one first`)
    if (waitingOf(memberships) >= MAX_WAITING)
      throw new AppError('too_many_requests', `${MAX_WAITING} joins and leaves are waiting; ask more slowly`)
    return await inOrder(socket, chapterId, true, async (membership) => {
      await limit()
      return await enter(socket, chapterId, after, membership)
    })
  }

  return {
    count: (socket) => wantedOf(membershipsOf(socket)),
    join: (socket, chapterId, after) => join(socket, chapterId, after, () => limitJoin(socket)),
    rejoin: (socket, chapterId, after) => join(socket, chapterId, after, async () => {}),

    async leave(socket, chapterId) {
      if (!membershipsOf(socket).has(chapterId)) return
      if (waitingOf(membershipsOf(socket)) >= MAX_WAITING)
        throw new AppError(
          'too_many_requests',
          `${MAX_WAITING} joins and leaves are waiting; ask more slowly`,
        )
      await inOrder(socket, chapterId, false, async (membership) => {
        void socket.leave(roomOf(chapterId))
        sessions.leaveRoom(socket, chapterId)
        membership.room?.close()
        membership.room = undefined
      })
    },

    leaveForbidden(socket) {
      const access = accessOf(socket)
      for (const [chapterId, membership] of connections.get(socket) ?? []) {
        const { room, chapter } = membership
        if (room === undefined || chapter === undefined || mayRead(access, chapter)) continue
        void socket.leave(roomOf(chapterId))
        sessions.leaveRoom(socket, chapterId)
        room.close()
        membership.room = undefined
        if (membership.waiting === 0) connections.get(socket)?.delete(chapterId)
        socket.emit('join_failed', { chapter_id: chapterId, ...refusalOf(notAllowed(chapterId)) })
      }
    },

    leaveDeleted(sockets, chapterId, message) {
      for (const socket of sockets) {
        socket.emit('chapter_deleted', { chapter_id: chapterId, message })
        void socket.leave(roomOf(chapterId))
        sessions.leaveRoom(socket, chapterId)
        const memberships = connections.get(socket)
        const membership = memberships?.get(chapterId)
        if (membership === undefined) continue
        membership.room?.close()
        membership.room = undefined
        if (membership.waiting === 0) memberships?.delete(chapterId)
      }
    },

    leaveAll(socket) {
      for (const membership of connections.get(socket)?.values() ?? []) {
        membership.room?.close()
        membership.room = undefined
      }
      connections.delete(socket)
    },

    async close() {
      await Promise.race([Promise.all(underWay), delay(CLOSE_MS, undefined, { ref: false })])
    },
  }
}

/** The answer to a refused join. A fault of the server shows no details. */
export function refusalOf(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof AppError) return { code: error.code, message: error.message }
  if (failureKindOf(error) === 'connection')
    return { code: 'unavailable', message: 'The database does not answer; try again' }
  return { code: 'internal', message: 'The server failed' }
}

function refusalTo(access: Access, chapterId: number, page: LogPage | undefined): AppError | undefined {
  if (access.kind === 'anyone') return undefined
  // The chapter has no owner yet, so no token can allow it.
  if (page === undefined) return new ChapterNotFoundError(chapterId)
  return mayRead(access, page) ? undefined : notAllowed(chapterId)
}

function notAllowed(chapterId: number): ForbiddenError {
  return new ForbiddenError(`This token may not join chapter ${chapterId}`)
}

function joinedChapter(chapterId: number, page: LogPage | undefined, isReset = false): JoinedChapter {
  const reset = isReset ? ({ reset: true } as const) : {}
  if (page === undefined) return { chapter_id: chapterId, ...reset }
  const { status, progress, lastSeq, logFrom } = page
  const expired = logFrom > 1 ? ({ expired: true } as const) : {}
  return { chapter_id: chapterId, status, progress, last_seq: lastSeq, ...reset, ...expired }
}

/** Names and payloads belong together in `ChapterEvent`, which TypeScript forgets when they are taken apart. */
function emitTo(socket: ChapterSocket, name: string, payload: object): void {
  ;(socket.emit as (name: string, payload: object) => boolean).call(socket, name, payload)
}

function wantedOf(memberships: Map<number, Membership>): number {
  let wanted = 0
  for (const { isWanted } of memberships.values()) if (isWanted) wanted += 1
  return wanted
}

function waitingOf(memberships: Map<number, Membership>): number {
  let waiting = 0
  for (const membership of memberships.values()) waiting += membership.waiting
  return waiting
}

function patient(readPage: PageReader, isWanted: () => boolean, log: FastifyBaseLogger): PageReader {
  return (chapterId, after, remember) =>
    patiently(
      () => readPage(chapterId, after, remember),
      isWanted,
      (error, level) =>
        log[level](
          { err: error, chapter_id: chapterId },
          'the log cannot be read for a join; it is tried again',
        ),
    )
}

/** Reads again while the database is away, for about a minute. */
export async function patiently<T>(
  read: () => Promise<T>,
  isWanted: () => boolean,
  onAway: (error: unknown, level: 'warn' | 'debug') => void,
): Promise<T> {
  for (const [tries, waitMs] of READ_RETRIES_MS.entries()) {
    try {
      return await read()
    } catch (error) {
      if (failureKindOf(error) !== 'connection' || !isWanted()) throw error
      onAway(error, tries === 0 ? 'warn' : 'debug')
      await delay(waitMs * (0.5 + Math.random()))
    }
  }
  return await read()
}
