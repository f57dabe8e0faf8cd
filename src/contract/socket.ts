/**
 * Socket.IO: what clients send, what they are acknowledged, what they hear.
 */
import { type Static, Type } from '@sinclair/typebox'
import { CHAPTER_STATUSES } from './chapter.js'
import { ERROR_CODES } from './problem.js'
import { Id, Percent, Seq, stringEnum } from './scalar.js'

export const JoinChapter = Type.Object({
  chapter_id: Id,
  after_seq: Type.Optional(Seq),
})
export type JoinChapter = Static<typeof JoinChapter>

export const LeaveChapter = Type.Object({ chapter_id: Id })
export type LeaveChapter = Static<typeof LeaveChapter>

export const RefreshToken = Type.Object({ token: Type.String({ minLength: 1 }) })
export type RefreshToken = Static<typeof RefreshToken>

/** What a room knows of its chapter; status, progress and position are absent while the chapter does not exist yet. */
export const JoinedChapter = Type.Object({
  chapter_id: Id,
  status: Type.Optional(stringEnum(CHAPTER_STATUSES)),
  progress: Type.Optional(Percent),
  last_seq: Type.Optional(Seq),
  reset: Type.Optional(
    Type.Literal(true, {
      description: 'The client’s cursor was beyond the end of the log: everything is replayed',
    }),
  ),
  expired: Type.Optional(
    Type.Literal(true, {
      description: 'The log was deleted after its retention: what it held is not replayed',
    }),
  ),
})
export type JoinedChapter = Static<typeof JoinedChapter>

/** Of a join or a leave; also `err.data` of a refused connect. */
export const Refusal = Type.Object({ code: stringEnum(ERROR_CODES), message: Type.String() })
export type Refusal = Static<typeof Refusal>

/** The Socket.IO room of a chapter. */
export function roomOf(chapterId: number): string {
  return `chapter_${chapterId}`
}
