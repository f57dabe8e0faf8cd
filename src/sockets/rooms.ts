/**
 * Sockets in chapter rooms. The number of rooms of a connection is bounded; the order of its joins and leaves is kept by
 * `memberships.ts`.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { type Access, type ChapterOwnership, mayRead } from '../auth/access.js'
import type { ErrorCode } from '../contract/problem.js'
import { type JoinedChapter, roomOf } from '../contract/socket.js'
import { AppError, ChapterNotFoundError, ForbiddenError, UnavailableError } from '../errors.js'
import { catchUp, type PageReader } from '../feed/catch-up.js'
import type { Feed, RoomShare } from '../feed/feed.js'
import type { LogPage } from '../store/events.js'
import { failureKindOf } from '../store/failure.js'
import type { ChapterSocket } from './chapter-io.js'
import { createMemberships, type Membership, type Memberships } from './memberships.js'
import type { Sessions } from './sessions.js'

/** Pauses before a read is tried again while the database is away, ms: a minute. Most clients join only once. */
const READ_RETRIES_MS = [200, 500, 1000, 2000, ...Array<number>(14).fill(4000)]

export interface ChapterRooms {
  count: Memberships<Inside>['count']
  /** @throws {AppError} */
  join(socket: ChapterSocket, chapterId: number, after: number): Promise<JoinedChapter>
  /** As `join`, for a session that comes back: it does not count against the limit of joins. */
  rejoin(socket: ChapterSocket, chapterId: number, after: number): Promise<JoinedChapter>
  leave(socket: ChapterSocket, chapterId: number): Promise<void>
  /** Takes the socket out of rooms that its token, just refreshed, does not allow; it is told by `join_failed`. */
  leaveForbidden(socket: ChapterSocket): void
  /** The chapter is gone: these sockets are told and leave its room, which is forgotten. */
  leaveDeleted(sockets: Iterable<ChapterSocket>, chapterId: number, message: string): void
  leaveAll: Memberships<Inside>['leaveAll']
  close: Memberships<Inside>['close']
}

interface Inside {
  share: RoomShare
  /** What permission depends on; undefined while the chapter does not exist. */
  chapter: ChapterOwnership | undefined
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
  const memberships = createMemberships<Inside>()

  async function enter(
    socket: ChapterSocket,
    chapterId: number,
    after: number,
    membership: Membership<Inside>,
  ): Promise<JoinedChapter> {
    const remember = sessions.remember(socket, chapterId, after)
    const isWanted = () => socket.connected
    const readPage = patient(options.readPage, isWanted, log)
    if (membership.inside !== undefined) {
      const page = await readPage(chapterId, membership.inside.share.position ?? 0, remember)
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
        // Not the page itself, which holds the log.
        const chapter = page && { chapterId, ownerId: page.ownerId, courseId: page.courseId }
        membership.inside = { share: room, chapter }
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

  function exit(socket: ChapterSocket, chapterId: number): void {
    void socket.leave(roomOf(chapterId))
    sessions.leaveRoom(socket, chapterId)
    memberships.exit(socket, chapterId)
  }

  async function join(
    socket: ChapterSocket,
    chapterId: number,
    after: number,
    limit: () => Promise<void>,
  ): Promise<JoinedChapter> {
    const isFull = memberships.count(socket) + options.otherRooms(socket) >= maxRooms
    if (memberships.of(socket).get(chapterId)?.isWanted !== true && isFull)
      throw new AppError(
        'too_many_rooms',
        `One connection may be in ${maxRooms} chapters and courses; leave one first`,
      )
    return await memberships.inOrder(socket, chapterId, true, async (membership) => {
      await limit()
      return await enter(socket, chapterId, after, membership)
    })
  }

  return {
    count: memberships.count,
    join: (socket, chapterId, after) => join(socket, chapterId, after, () => limitJoin(socket)),
    rejoin: (socket, chapterId, after) => join(socket, chapterId, after, async () => {}),

    async leave(socket, chapterId) {
      if (!memberships.of(socket).has(chapterId)) return
      await memberships.inOrder(socket, chapterId, false, async () => exit(socket, chapterId))
    },

    leaveForbidden(socket) {
      const access = accessOf(socket)
      for (const [chapterId, { inside }] of memberships.of(socket)) {
        if (inside?.chapter === undefined || mayRead(access, inside.chapter)) continue
        exit(socket, chapterId)
        socket.emit('join_failed', { chapter_id: chapterId, ...refusalOf(notAllowed(chapterId)) })
      }
    },

    leaveDeleted(sockets, chapterId, message) {
      for (const socket of sockets) {
        socket.emit('chapter_deleted', { chapter_id: chapterId, message })
        exit(socket, chapterId)
      }
    },

    leaveAll: memberships.leaveAll,
    close: memberships.close,
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
