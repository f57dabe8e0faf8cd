/**
 * A chapter under decision: what changes, what is told and what is owed, until it is all returned at once.
 */
import type { CallbackAnswer } from '../contract/callback.js'
import type { ChapterEvent, EventName, EventPayload } from '../contract/event.js'
import type { JobKind } from '../contract/job.js'
import { type ChapterState, type JobState, toInstant } from './chapter.js'
import type {
  CommandType,
  Decision,
  DecisionContext,
  FinishResult,
  OwedDeadLetter,
  Replies,
} from './command.js'
import { eventMessage } from './messages.js'

/** The fields of an event that its decision knows; the rest is the same for all. */
type EventFields<Name extends EventName> = Omit<EventPayload<Name>, 'chapter_id' | 'message' | 'seq' | 'at'>

/**
 * A state under decision. What changes is copied first: the state that came in stays as it was, and a job
 * that did not change stays the same object, by which a writer tells the changed ones.
 */
export class Draft {
  readonly results: FinishResult[] = []
  readonly deadLetters: OwedDeadLetter[] = []
  readonly context: DecisionContext
  readonly nextVersion: number
  chapter: ChapterState
  private readonly before: ChapterState
  private readonly events: ChapterEvent[] = []

  constructor(state: ChapterState, context: DecisionContext) {
    this.before = state
    this.chapter = state
    this.context = context
    this.nextVersion = state.version + 1
  }

  job(kind: JobKind): Readonly<JobState> {
    return this.chapter.jobs[kind]
  }

  changeChapter(): ChapterState {
    if (this.chapter === this.before)
      this.chapter = {
        ...this.before,
        jobs: { ...this.before.jobs },
        version: this.nextVersion,
        updatedAt: Math.max(this.before.updatedAt, this.context.now),
      }
    return this.chapter
  }

  change(kind: JobKind): JobState {
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

  answer(status: CallbackAnswer['status'], message: string): CallbackAnswer {
    return { status, message, chapter_id: this.chapter.id }
  }

  finish<Type extends CommandType>(reply: Replies[CommandType]): Decision<Type> {
    return {
      reply: reply as Replies[Type],
      state: this.chapter,
      events: this.events,
      results: this.results,
      deadLetters: this.deadLetters,
    }
  }
}
