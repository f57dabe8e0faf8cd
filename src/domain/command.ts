/**
 * What can be asked of a chapter that exists, what is answered, and what a decision about it returns.
 */
import type { Answer } from '../answers/judge.js'
import type { Mend } from '../answers/mend.js'
import type { GenerationPolicy } from '../config/config.js'
import type { CallbackAnswer, StartAnswer } from '../contract/callback.js'
import type { ChapterAccepted } from '../contract/chapter.js'
import type { ChapterEvent } from '../contract/event.js'
import type { FailureReason, JobKind, JobResults } from '../contract/job.js'
import type { ChapterState, CreatedChapter } from './chapter.js'
import type { WorkName } from './job-table.js'

export type FinishResult = {
  [K in JobKind]: { kind: K; result: JobResults[K] }
}[JobKind]

export type ChapterCommand = { chapterId: number } & (
  | { type: 'start'; kind: JobKind; jobId: string; attempt: number }
  | ({ type: 'finish'; named: WorkName } & Answer)
  | {
      type: 'fail'
      kind: JobKind
      named: WorkName
      reason: FailureReason
      error: string
      retryable: boolean
      retryAfterMs: number
    }
  | {
      type: 'progress'
      kind?: JobKind
      named: WorkName
      progress: number
      message: string
    }
  | { type: 'partial'; kind: JobKind; named: WorkName }
  | { type: 'expire'; kind: JobKind; jobId: string; attempt: number }
  /** `dueAt`: the process lives, gives the job back, and it is to be sent again then. */
  | { type: 'hold_expired'; kind: JobKind; jobId: string; attempt: number; dueAt?: number }
  | { type: 'retry' }
  | { type: 'cancel' }
)

export interface Replies {
  create: CreatedChapter
  start: StartAnswer
  /** `mended`: what was settled with the chapter at hand; for the metrics, not for the worker. */
  finish: CallbackAnswer & { mended?: Mend[] }
  fail: CallbackAnswer
  progress: CallbackAnswer
  /** `work`: the attempt whose text may come; absent when it is not the current one. */
  partial: CallbackAnswer & { work?: { jobId: string; attempt: number; lastSeq: number } }
  expire: undefined
  hold_expired: undefined
  retry: ChapterAccepted
  /** `already`: it was cancelled before. */
  cancel: ChapterAccepted & { already: boolean }
}
export type CommandType = ChapterCommand['type']

/** A job that failed for good; owed to the dead-letter topic by the write that failed it. */
export interface OwedDeadLetter {
  kind: JobKind
  jobId: string
  attempt: number
  maxAttempts: number
  requestedAt: number
  deadlineAt: number | null
  reason: FailureReason
  error: string | null
  failedAt: number
}

export interface Decision<Type extends keyof Replies = CommandType> {
  reply: Replies[Type]
  /** The chapter afterwards; the very state that came in when nothing changed. */
  state: ChapterState
  events: ChapterEvent[]
  results: FinishResult[]
  deadLetters: OwedDeadLetter[]
}

export interface DecisionContext {
  /** Milliseconds since the epoch. */
  now: number
  policy: GenerationPolicy
  /** [0, 1) */
  random: () => number
  newId: () => string
}
