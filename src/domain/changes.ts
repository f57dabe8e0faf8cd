/**
 * The changes that one decision makes, collected until they are returned as one `Decision`: the new state, its events,
 * results to store and dead letters. Steps (`steps.ts`) write here and nowhere else.
 *
 * The state that came in is never touched: a chapter or job is copied when it first changes. A job that did not change
 * stays the same object; the store writes the others.
 */
import type { ChapterEvent, EventName, EventPayload } from '../contract/event.js'
import type { JobKind } from '../contract/job.js'
import { toInstant } from '../contract/wire.js'
import type { ChapterState, JobState } from './chapter.js'
import type {
  Decision,
  DecisionContext,
  EndedAttempt,
  FinishResult,
  NewRevision,
  OwedDeadLetter,
  Replies,
} from './command.js'
import { eventMessage } from './messages.js'

/** The fields of an event that its step knows; the others are the same for all events. */
export type EventFields<Name extends EventName> = Omit<
  EventPayload<Name>,
  'chapter_id' | 'message' | 'seq' | 'at'
>

export class Changes {
  readonly results: FinishResult[] = []
  readonly deadLetters: OwedDeadLetter[] = []
  readonly attempts: EndedAttempt[] = []
  readonly revisions: NewRevision[] = []
  isDeleted = false
  readonly context: DecisionContext
  readonly nextVersion: number
  private current: ChapterState
  private readonly before: ChapterState
  private readonly events: ChapterEvent[] = []

  constructor(state: ChapterState, context: DecisionContext) {
    this.before = state
    this.current = state
    this.context = context
    this.nextVersion = state.version + 1
  }

  get chapter(): Readonly<ChapterState> {
    return this.current
  }

  job(kind: JobKind): Readonly<JobState> {
    return this.current.jobs[kind]
  }

  /** The chapter, to be changed. */
  changeChapter(): ChapterState {
    if (this.current === this.before)
      this.current = {
        ...this.before,
        jobs: { ...this.before.jobs },
        version: this.nextVersion,
        updatedAt: Math.max(this.before.updatedAt, this.context.now),
      }
    return this.current
  }

  /** A job, to be changed. */
  changeJob(kind: JobKind): JobState {
    const { jobs } = this.changeChapter()
    if (jobs[kind] === this.before.jobs[kind]) jobs[kind] = { ...jobs[kind] }
    return jobs[kind]
  }

  emit<Name extends EventName>(name: Name, fields: EventFields<Name>): void {
    const chapter = this.changeChapter()
    chapter.lastSeq += 1
    const { status, ...rest } = fields as { status: string }
    const payload = {
      chapter_id: chapter.id,
      ...rest,
      status,
      message: eventMessage(name, chapter.locale),
      seq: chapter.lastSeq,
      at: toInstant(this.context.now),
    }
    this.events.push({ name, payload } as unknown as ChapterEvent)
  }

  decision<Type extends keyof Replies>(reply: Replies[Type]): Decision<Type> {
    return {
      reply,
      state: this.current,
      events: this.events,
      results: this.results,
      deadLetters: this.deadLetters,
      attempts: this.attempts,
      revisions: this.revisions,
      isDeleted: this.isDeleted,
    }
  }
}
