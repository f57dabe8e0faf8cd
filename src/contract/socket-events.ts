/**
 * The event maps of Socket.IO, for both ends. The client package has this text as it is, with shapes of its own by
 * the same names: types only.
 */
import type { CourseChapter, CourseCompleted, JoinCourse, JoinedCourse, LeaveCourse } from './course.js'
import type { ChapterDeleted, EventName, EventPayload, ProgressUpdate } from './event.js'
import type { PartialUpdate } from './partial.js'
import type { JoinChapter, JoinedChapter, LeaveChapter, RefreshToken, Refusal } from './socket.js'

/** What a socket is answered: `socket.emit('join_chapter', payload, ack)`. */
export type Ack<T extends object> = (answer: ({ ok: true } & T) | ({ ok: false } & Refusal)) => void

/** An event with an optional ack, written so that `emit`, `emitWithAck` and `timeout` of Socket.IO are typed. */
export type Asking<Payload, Answer extends object> = (
  ...args: [payload: Payload] | [payload: Payload, ack: Ack<Answer>]
) => void

/** For `Socket<ServerToClientEvents, ClientToServerEvents>` of a plain `socket.io-client`. */
export interface ClientToServerEvents {
  join_chapter: Asking<JoinChapter, JoinedChapter>
  leave_chapter: Asking<LeaveChapter, { chapter_id: number }>
  /** Acknowledged when `joined_course` was sent: the list is there, not in the answer. */
  join_course: Asking<JoinCourse, { course_id: number }>
  leave_course: Asking<LeaveCourse, { course_id: number }>
  refresh_token: Asking<RefreshToken, object>
}

export type ServerToClientEvents = {
  [Name in EventName]: (payload: EventPayload<Name>) => void
} & {
  /** Text so far: what follows its first `offset` UTF-16 units, of a quiz whole questions; 0 begins anew. */
  [Name in PartialUpdate['name']]: (payload: Extract<PartialUpdate, { name: Name }>['payload']) => void
} & {
  connection_established: (payload: { status: 'connected' }) => void
  joined_chapter: (payload: JoinedChapter) => void
  /** `course_id` when it was the join of a course. */
  join_failed: (payload: { chapter_id: number | null; course_id?: number | null } & Refusal) => void
  progress_update: (payload: ProgressUpdate) => void
  /** The whole list, which replaces what was known of the course. */
  joined_course: (payload: JoinedCourse) => void
  /** A chapter of the course was made or changed. Not logged; the highest version counts. */
  chapter_status: (payload: CourseChapter) => void
  /** Nothing of the course is being generated any more. */
  course_completed: (payload: CourseCompleted) => void
  /** The chapter was erased; its room is empty now. */
  chapter_deleted: (payload: ChapterDeleted) => void
  /** Before the server closes a connection whose token has expired: connect again with a new one. */
  token_expired: (payload: { message: string }) => void
}
