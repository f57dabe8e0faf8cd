/**
 * Sockets in course rooms. A course counts as one room beside those of chapters; the order of joins and leaves is kept by
 * `memberships.ts`.
 *
 * With client authentication on an owner is in a room of their own chapters in the course, whoever may read the whole
 * course in the room of all.
 */
import type { FastifyBaseLogger } from 'fastify'
import { type Access, readableCourse } from '../auth/access.js'
import { courseRoomOf } from '../contract/course.js'
import { AppError, UnavailableError } from '../errors.js'
import type { CourseFeed, CourseShare } from '../feed/course-feed.js'
import type { CourseScope } from '../store/courses.js'
import type { ChapterSocket } from './chapter-io.js'
import { createMemberships, type Membership, type Memberships } from './memberships.js'
import { patiently, refusalOf } from './rooms.js'
import type { Sessions } from './sessions.js'

export interface CourseRooms {
  count: Memberships<Inside>['count']
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
  leaveAll: Memberships<Inside>['leaveAll']
  close: Memberships<Inside>['close']
}

interface Inside {
  share: CourseShare
  scope: CourseScope
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
  const memberships = createMemberships<Inside>()

  async function enter(
    socket: ChapterSocket,
    courseId: number,
    membership: Membership<Inside>,
  ): Promise<void> {
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

  function exit(socket: ChapterSocket, courseId: number): void {
    const scope = memberships.of(socket).get(courseId)?.inside?.scope
    if (scope !== undefined) void socket.leave(courseRoomOf(courseId, scope.ownerId))
    memberships.exit(socket, courseId)
  }

  async function join(socket: ChapterSocket, courseId: number, limit: () => Promise<void>): Promise<void> {
    const isFull = memberships.count(socket) + otherRooms(socket) >= maxRooms
    if (memberships.of(socket).get(courseId)?.isWanted !== true && isFull)
      throw new AppError(
        'too_many_rooms',
        `One connection may be in ${maxRooms} chapters and courses; leave one first`,
      )
    await memberships.inOrder(socket, courseId, true, async (membership) => {
      await limit()
      await enter(socket, courseId, membership)
    })
  }

  return {
    count: memberships.count,
    join: (socket, courseId) => join(socket, courseId, () => limitJoin(socket)),
    rejoin: (socket, courseId) => join(socket, courseId, async () => {}),

    async leave(socket, courseId) {
      if (!memberships.of(socket).has(courseId)) return
      await memberships.inOrder(socket, courseId, false, async () => {
        sessions.leaveCourse(socket, courseId)
        exit(socket, courseId)
      })
    },

    refresh(socket) {
      for (const [courseId, membership] of memberships.of(socket)) {
        const { inside, isWanted } = membership
        if (inside === undefined || isScopeOf(socket, inside.scope)) continue
        exit(socket, courseId)
        const enterAgain = async (again: Membership<Inside>) => {
          if (again.isWanted && again.inside === undefined) await enter(socket, courseId, again)
        }
        memberships.inOrder(socket, courseId, isWanted, enterAgain).catch((error: unknown) => {
          sessions.leaveCourse(socket, courseId)
          socket.emit('join_failed', { chapter_id: null, course_id: courseId, ...refusalOf(error) })
        })
      }
    },

    leaveAll: memberships.leaveAll,
    close: memberships.close,
  }
}
