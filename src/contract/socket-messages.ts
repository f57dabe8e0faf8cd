/**
 * What goes over Socket.IO, as a table: the documents are made from it. The types of both ends are in
 * `socket-events.ts`; an event that is missing here does not compile.
 */
import { type TSchema, Type } from '@sinclair/typebox'
import { CourseChapter, CourseCompleted, JoinCourse, JoinedCourse, LeaveCourse } from './course.js'
import { ChapterDeleted, type EventName, ProgressUpdate } from './event.js'
import { QuizPartial, TextPartial } from './partial.js'
import { Id, nullable } from './scalar.js'
import { JoinChapter, JoinedChapter, LeaveChapter, RefreshToken, Refusal } from './socket.js'
import type { ClientToServerEvents, ServerToClientEvents } from './socket-events.js'

export const ConnectionEstablished = Type.Object({ status: Type.Literal('connected') })

export const JoinFailed = Type.Object({
  chapter_id: nullable(Id),
  course_id: Type.Optional(
    nullable(Type.Integer({ ...Id, description: 'When it was the join of a course' })),
  ),
  ...Refusal.properties,
})

export const TokenExpired = Type.Object({ message: Type.String() })

export const LeftChapter = Type.Object({ chapter_id: Id })
export const CourseAccepted = Type.Object({ course_id: Id })
export const TokenAccepted = Type.Object({})

/** Where a message belongs: to the connection, or to a room. */
export type Place = 'connection' | 'chapter' | 'course'

export interface ClientMessage {
  place: Place
  payload: TSchema
  /** What the acknowledgement has beside `ok: true`. */
  answer: TSchema
  about: string
}

export const CLIENT_MESSAGES = {
  join_chapter: {
    place: 'chapter',
    payload: JoinChapter,
    answer: JoinedChapter,
    about:
      'Joins the room of a chapter. Events after `after_seq` are replayed first; all of them unless it is given',
  },
  leave_chapter: {
    place: 'chapter',
    payload: LeaveChapter,
    answer: LeftChapter,
    about: 'Leaves the room of a chapter',
  },
  join_course: {
    place: 'course',
    payload: JoinCourse,
    answer: CourseAccepted,
    about: 'Joins the room of a course. The acknowledgement follows `joined_course`',
  },
  leave_course: {
    place: 'course',
    payload: LeaveCourse,
    answer: CourseAccepted,
    about: 'Leaves the room of a course',
  },
  refresh_token: {
    place: 'connection',
    payload: RefreshToken,
    answer: TokenAccepted,
    about: 'Replaces the token of this connection before it expires. The `sub` must stay the same',
  },
} as const satisfies Record<keyof ClientToServerEvents, ClientMessage>

export interface ServerMessage {
  place: Place
  payload: TSchema
  about: string
}

/** Beside the logged events, which are in `event.ts`. */
export const SERVER_MESSAGES = {
  connection_established: {
    place: 'connection',
    payload: ConnectionEstablished,
    about: 'The connection is ready',
  },
  token_expired: {
    place: 'connection',
    payload: TokenExpired,
    about: 'Sent before the connection is closed because its token expired',
  },
  join_failed: {
    place: 'connection',
    payload: JoinFailed,
    about: 'A join was refused: a bad payload, not allowed, too many rooms, too often',
  },
  joined_chapter: {
    place: 'chapter',
    payload: JoinedChapter,
    about: 'A join succeeded; sent before the replay. Only `chapter_id` while the chapter does not exist yet',
  },
  progress_update: {
    place: 'chapter',
    payload: ProgressUpdate,
    about: 'Progress changed. Not logged; at most 10 a second for each chapter, the last one always',
  },
  concept_partial: {
    place: 'chapter',
    payload: TextPartial,
    about: 'The concept so far. Not logged; at most 5 a second, the last one always',
  },
  exercise_partial: {
    place: 'chapter',
    payload: TextPartial,
    about: 'The question of the exercise so far. Not logged; at most 5 a second, the last one always',
  },
  quiz_partial: {
    place: 'chapter',
    payload: QuizPartial,
    about:
      'The whole questions so far, without their answers. Not logged; at most 5 a second, the last one always',
  },
  chapter_deleted: {
    place: 'chapter',
    payload: ChapterDeleted,
    about: 'The chapter was erased; the room is empty afterwards. Not logged',
  },
  joined_course: {
    place: 'course',
    payload: JoinedCourse,
    about: 'The whole course: after a join, and again when a chapter was erased. It replaces what was known',
  },
  chapter_status: {
    place: 'course',
    payload: CourseChapter,
    about:
      'A chapter of the course was created or changed. Not logged; the highest `version` counts; at most 5 a second for ' +
      'each chapter, the last one always',
  },
  course_completed: {
    place: 'course',
    payload: CourseCompleted,
    about: 'No chapter of the course is processing any more. Sent each time that becomes so',
  },
} as const satisfies Record<Exclude<keyof ServerToClientEvents, EventName>, ServerMessage>
