/**
 * Socket.IO: what clients send, what they are acknowledged, what they hear.
 */
import { type Static, Type } from '@sinclair/typebox'
import type { ChapterStatus } from './chapter.js'
import type { EventName, EventPayload, ProgressUpdate } from './event.js'
import type { ErrorCode } from './problem.js'
import { Id, Seq } from './scalar.js'

export const JoinChapter = Type.Object({
  chapter_id: Id,
  after_seq: Type.Optional(Seq),
})
export type JoinChapter = Static<typeof JoinChapter>

export const LeaveChapter = Type.Object({ chapter_id: Id })
export type LeaveChapter = Static<typeof LeaveChapter>

/** What a room knows of its chapter; all three absent while the chapter does not exist yet. */
export interface JoinedChapter {
  chapter_id: number
  status?: ChapterStatus
  progress?: number
  last_seq?: number
  /** The client’s cursor was beyond the end of the log: everything is replayed. */
  reset?: true
  /** The log was deleted after its retention: what it held is not replayed. */
  expired?: true
}

export interface Refusal {
  code: ErrorCode
  message: string
}

export type Ack<T extends object> = (answer: ({ ok: true } & T) | ({ ok: false } & Refusal)) => void

export interface ClientToServerEvents {
  join_chapter: (payload: JoinChapter, ack?: Ack<JoinedChapter>) => void
  leave_chapter: (payload: LeaveChapter, ack?: Ack<{ chapter_id: number }>) => void
  refresh_token: (payload: { token: string }, ack?: Ack<object>) => void
}

export type ServerToClientEvents = {
  [Name in EventName]: (payload: EventPayload<Name>) => void
} & {
  connection_established: (payload: { status: 'connected' }) => void
  joined_chapter: (payload: JoinedChapter) => void
  token_expired: (payload: { message: string }) => void
  join_failed: (payload: { chapter_id: number | null } & Refusal) => void
  progress_update: (payload: ProgressUpdate) => void
}

/** The Socket.IO room of a chapter. */
export function roomOf(chapterId: number): string {
  return `chapter_${chapterId}`
}
