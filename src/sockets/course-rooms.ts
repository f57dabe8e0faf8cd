/**
 * Sockets in course rooms. Joins and leaves of one course on one connection take effect in the order they came; a
 * course counts as one room beside those of chapters. A connection that ends gives all of its shares back.
 *
 * With client authentication on an owner is in a room of their own chapters in the course, whoever may read the whole
 * course in the room of all.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { type Access, readableCourse } from '../auth/access.js'
import { courseRoomOf } from '../contract/course.js'
import { AppError, UnavailableError } from '../errors.js'
import type { CourseFeed, CourseShare } from '../feed/course-feed.js'
import type { CourseScope } from '../store/courses.js'
import type { ChapterSocket } from './chapter-io.js'
import { patiently, refusalOf } from './rooms.js'
import type { Sessions } from './sessions.js'

/** Joins and leaves that one connection may have waiting. */
const MAX_WAITING = 1000
/** How long those that are under way may hold a node that closes, ms. */
const CLOSE_MS = 2000

export interface CourseRooms {
  /** Rooms that the socket is in, or on its way to. */
  count(socket: ChapterSocket): number
  /** @throws {AppError} */
  join(socket: ChapterSocket, courseId: number): Promise<void>
  /** As `join`, for a session that comes back: it does not count against the limit of joins. */
  rejoin(socket: ChapterSocket, courseId: number): Promise<void>
  leave(socket: ChapterSocket, courseId: number): Promise<void>
  /**
   * After a refresh of the socket’s token: out of rooms that it does not allow, which `join_failed` tells, and into those
   * of what it allows now.
   */
  refresh(socket: ChapterSocket): void
  /** Of this node: the socket’s shares in rooms. */
  leaveAll(socket: ChapterSocket): void
  /** Resolves when the joins and leaves that came so far are done, for a session remembers them; or soon. */
  close(): Promise<void>
}

/** One connection’s membership in one course, or its way there. */
interface Membership {
  inside: { share: CourseShare; scope: CourseScope } | undefined
  /** Whether what was asked last is to be in. */
  isWanted: boolean
  waiting: number
  /** What was asked last; the next waits for it. */
  tail: Promise<unknown>
}

export function createCourseRooms(options: {
  feed: Pick<CourseFeed, 'join'>
  maxRooms: number
  /** Rooms of other kinds that a socket is in: they count as well. */
  otherRooms: (socket: ChapterSocket) => number
  /** As of now: a refresh may have changed it. */
  accessOf: (socket: ChapterSocket) => Access
  /** Counts a join; rejects when there were too many. */
  limitJoin: (socket: ChapterSocket) => Promise<void>
  sessions: Pick<Sessions, 'rememberCourse' | 'leaveCourse' | 'end'>
  log: FastifyBaseLogger
}): CourseRooms {
  const { feed, maxRooms, otherRooms, accessOf, limitJoin, sessions, log } = options
  const connections = new WeakMap<ChapterSocket, Map<number, Membership>>()
  const underWay = new Set<Promise<unknown>>()

  const membershipsOf = (socket: ChapterSocket): Map<number, Membership> => {
    const known = connections.get(socket) ?? new Map<number, Membership>()
    connections.set(socket, known)
    return known
  }

  /** Runs after whatever was asked before about this course on this connection. */
  async function inOrder(
    socket: ChapterSocket,
    courseId: number,
    isWanted: boolean,
    task: (membership: Membership) => Promise<void>,
  ): Promise<void> {
    const memberships = membershipsOf(socket)
    if (waitingOf(memberships) >= MAX_WAITING)
      throw new AppError('too_many_requests', `${MAX_WAITING} joins and leaves are waiting; ask more slowly`)
    const membership: Membership = memberships.get(courseId) ?? {
      inside: undefined,
      isWanted,
      waiting: 0,
      tail: Promise.resolve(),
    }
    memberships.set(courseId, membership)
    membership.isWanted = isWanted
    membership.waiting += 1
    const done = membership.tail.then(() => task(membership))
    const tail = done.catch(() => {})
    membership.tail = tail
    underWay.add(tail)
    try {
      await done
    } finally {
      underWay.delete(tail)
      membership.waiting -= 1
      if (membership.inside === undefined && membership.waiting === 0) memberships.delete(courseId)
    }
  }

  async function enter(socket: ChapterSocket, courseId: number, membership: Membership): Promise<void> {
    const scope = scopeFor(socket, courseId)
    const { ownerId } = scope
    const remember = sessions.rememberCourse(socket, courseId)
    const isWanted = () => socket.connected
    let isOutdated = false
    const isIn = await patiently(
      () =>
        feed.join({
          scope,
          remember,
          isWanted,
          onJoined(joined, share) {
            isOutdated = !isScopeOf(socket, scope)
            if (isOutdated) return share.close()
            membership.inside?.share.close()
            membership.inside = { share, scope }
            share.admit(socket.id)
            void socket.join(courseRoomOf(courseId, ownerId))
            socket.emit('joined_course', joined)
          },
        }),
      isWanted,
      (error, level) =>
        log[level](
          { err: error, course_id: courseId },
          'a course cannot be read for a join; it is tried again',
        ),
    ).catch((error: unknown) => {
      // Refused, it is not come back to.
      if (membership.inside === undefined && error instanceof AppError) sessions.leaveCourse(socket, courseId)
      throw error
    })
    // The token was replaced meanwhile: what it allows now counts.
    if (isOutdated) return await enter(socket, courseId, membership)
    if (isIn) return
    // What was remembered meanwhile came after the session’s end: it is told again.
    sessions.end(socket, false)
    throw new UnavailableError('The connection ended')
  }

  /** @throws {ForbiddenError} */
  function scopeFor(socket: ChapterSocket, courseId: number): CourseScope {
    return { courseId, ...readableCourse(accessOf(socket), courseId) }
  }

  function isScopeOf(socket: ChapterSocket, { courseId, ownerId }: CourseScope): boolean {
    try {
      return scopeFor(socket, courseId).ownerId === ownerId
    } catch {
      return false
    }
  }

  function exit(socket: ChapterSocket, membership: Membership): void {
    if (membership.inside === undefined) return
    const { share, scope } = membership.inside
    void socket.leave(courseRoomOf(scope.courseId, scope.ownerId))
    share.close()
    membership.inside = undefined
  }

  async function join(socket: ChapterSocket, courseId: number, limit: () => Promise<void>): Promise<void> {
    const memberships = membershipsOf(socket)
    const isFull = wantedOf(memberships) + otherRooms(socket) >= maxRooms
    if (memberships.get(courseId)?.isWanted !== true && isFull)
      throw new AppError(
        'too_many_rooms',
        `One connection may be in ${maxRooms} chapters and courses; leave one first`,
      )
    await inOrder(socket, courseId, true, async (membership) => {
      await limit()
      await enter(socket, courseId, membership)
    })
  }

  return {
    count: (socket) => wantedOf(membershipsOf(socket)),
    join: (socket, courseId) => join(socket, courseId, () => limitJoin(socket)),
    rejoin: (socket, courseId) => join(socket, courseId, async () => {}),

    async leave(socket, courseId) {
      if (!membershipsOf(socket).has(courseId)) return
      await inOrder(socket, courseId, false, async (membership) => {
        sessions.leaveCourse(socket, courseId)
        exit(socket, membership)
      })
    },

    refresh(socket) {
      for (const [courseId, membership] of membershipsOf(socket)) {
        const { inside, isWanted } = membership
        if (inside === undefined || isScopeOf(socket, inside.scope)) continue
        exit(socket, membership)
        const enterAgain = async (again: Membership) => {
          if (again.isWanted && again.inside === undefined) await enter(socket, courseId, again)
        }
        inOrder(socket, courseId, isWanted, enterAgain).catch((error: unknown) => {
          sessions.leaveCourse(socket, courseId)
          socket.emit('join_failed', { chapter_id: null, course_id: courseId, ...refusalOf(error) })
        })
      }
    },

    leaveAll(socket) {
      for (const membership of connections.get(socket)?.values() ?? []) {
        membership.inside?.share.close()
        membership.inside = undefined
      }
      connections.delete(socket)
    },

    async close() {
      await Promise.race([Promise.all(underWay), delay(CLOSE_MS, undefined, { ref: false })])
    },
  }
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
