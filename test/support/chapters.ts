/**
 * Chapters as decisions see them, in any state, and the circumstances of a decision: all plain values.
 * Everything here is frozen to its depth, so that a decision that changes what it was given throws.
 */
import { type ChapterEvent, EVENTS, type EventName, type EventPayload } from '../../src/contract/event.js'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import { compileCheck } from '../../src/contract/validation.js'
import type { ChapterState, JobState } from '../../src/domain/chapter.js'
import type { ChapterCommand, Decision, DecisionContext, FinishResult } from '../../src/domain/command.js'
import { createChapter as decideCreation, type NewChapter } from '../../src/domain/create.js'
import { decide } from '../../src/domain/decide.js'
import type { WorkName } from '../../src/domain/job-table.js'
import { FINISH_BODIES } from './client.js'

export const NOON = Date.parse('2026-01-31T12:00:00.000Z')
export const MINUTE_MS = 60_000

/** Every duration differs from every other, so that one taken for another shows. */
export const POLICY: DecisionContext['policy'] = Object.freeze({
  timeoutMs: 10 * MINUTE_MS,
  queueTimeoutMs: 30 * MINUTE_MS,
  heartbeatMs: 2 * MINUTE_MS,
  maxAttempts: 3,
  retryBaseMs: 5000,
  retryMaxMs: 60_000,
  patienceMs: 60 * MINUTE_MS,
  quizMinShare: 0.6,
  maxRevisions: 20,
})

/** The circumstances of a decision at `now`: no jitter, ids that say when and in which order they were drawn. */
export function at(now: number, changes: Partial<DecisionContext> = {}): DecisionContext {
  let drawn = 0
  return {
    now,
    policy: POLICY,
    random: () => 0,
    newId: () => {
      drawn += 1
      const time = now.toString(16).padStart(12, '0').slice(-12)
      return `${String(drawn).padStart(8, '0')}-0000-4000-8000-${time}`
    },
    ...changes,
  }
}

export const NEW_CHAPTER: NewChapter = {
  courseId: 5,
  ownerId: 6,
  title: '변수와 자료형',
  description: 'Python 기초',
  locale: 'ko',
  quizCount: 3,
  metadata: { course: 'Python' },
}

export function created(input: Partial<NewChapter> = {}, context = at(NOON)) {
  const ids = { chapterId: 1, conceptId: 11, exerciseId: 12, quizIds: [13, 14, 15] }
  return frozen(decideCreation({ ...NEW_CHAPTER, ...input }, ids, context))
}

/** A chapter whose jobs were all sent at `NOON`, with these changes to it and to its jobs. */
export function chapterWith(
  jobs: Partial<Record<JobKind, Partial<JobState>>> = {},
  changes: Partial<Omit<ChapterState, 'jobs'>> = {},
): ChapterState {
  const { state } = created()
  const sent = { status: 'published', deadlineAt: NOON + POLICY.queueTimeoutMs } as const
  const entries = JOB_KINDS.map((kind) => [kind, { ...state.jobs[kind], ...sent, ...jobs[kind] }])
  return frozen({ ...state, ...changes, jobs: Object.fromEntries(entries) as ChapterState['jobs'] })
}

export const COMPLETED = { status: 'completed', deadlineAt: null, progress: 100 } as const
export const FAILED = {
  status: 'failed',
  deadlineAt: null,
  reason: 'refused',
  error: 'no',
} as const
export const CANCELLED = { status: 'cancelled', deadlineAt: null } as const
export const QUEUED = { status: 'queued', deadlineAt: null } as const
export const STARTED = {
  startedAt: NOON,
  lastHeardAt: NOON,
  deadlineAt: NOON + POLICY.timeoutMs,
} as const

/** `decide`, on a state that cannot be changed, with every event checked against the catalogue. */
export function decideOn<C extends ChapterCommand>(
  state: ChapterState,
  command: C,
  context: DecisionContext = at(NOON),
): Decision<C['type']> {
  const decision = decide(frozen(state), frozen(command), context)
  for (const { name, payload } of decision.events) {
    const violations = checks[name](payload)
    if (violations.length > 0) throw new Error(`${name}: ${JSON.stringify({ violations, payload })}`)
  }
  return frozen(decision)
}

const checks = Object.fromEntries(
  Object.entries(EVENTS).map(([name, schema]) => [name, compileCheck(schema)]),
) as Record<keyof typeof EVENTS, ReturnType<typeof compileCheck>>

/** The guide’s result for a kind, as a command. */
export function finishOf(kind: JobKind, named: WorkName = {}) {
  const result = { kind, result: FINISH_BODIES[kind] } as unknown as FinishResult
  return { type: 'finish', chapterId: 1, named, ...result } as const
}

export function failOf(kind: JobKind, changes: object = {}) {
  return {
    type: 'fail',
    chapterId: 1,
    kind,
    named: {},
    reason: 'model_error',
    error: 'the model said no',
    retryable: true,
    retryAfterMs: 0,
    ...changes,
  } as const
}

export function progressOf(
  progress: number,
  changes: { kind?: JobKind; named?: object; message?: string } = {},
) {
  return { type: 'progress', chapterId: 1, named: {}, progress, message: 'working', ...changes } as const
}

/** The job’s current work, as messages and callbacks name it. */
export function workOf(state: ChapterState, kind: JobKind) {
  const { jobId, attempt } = state.jobs[kind]
  return { jobId, attempt }
}

export function startOf(state: ChapterState, kind: JobKind) {
  return { type: 'start', chapterId: 1, kind, ...workOf(state, kind) } as const
}

export function expireOf(state: ChapterState, kind: JobKind) {
  return { type: 'expire', chapterId: 1, kind, ...workOf(state, kind) } as const
}

export function holdExpiredOf(state: ChapterState, kind: JobKind) {
  return { type: 'hold_expired', chapterId: 1, kind, ...workOf(state, kind) } as const
}

/** The chapter after the store marked these jobs published, which takes no decision. */
export function markedPublished(
  state: ChapterState,
  kinds: readonly JobKind[],
  publishedAt: number,
): ChapterState {
  const jobs = { ...state.jobs }
  for (const kind of kinds)
    if (jobs[kind].status === 'queued')
      jobs[kind] = {
        ...jobs[kind],
        status: 'published',
        deadlineAt: publishedAt + POLICY.queueTimeoutMs,
      }
  return frozen({ ...state, jobs })
}

export function namesOf(decision: { events: readonly { name: string }[] }): string[] {
  return decision.events.map(({ name }) => name)
}

export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) frozen(inner)
  }
  return value
}

/** The payload of the one event of that name. */
export function payloadOf<Name extends EventName>(
  { events }: { events: readonly ChapterEvent[] },
  name: Name,
): EventPayload<Name> {
  const found = events.filter((event) => event.name === name)
  if (found.length !== 1) throw new Error(`${found.length} ${name} among ${namesOf({ events })}`)
  return found[0]?.payload as EventPayload<Name>
}
