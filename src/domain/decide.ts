/**
 * Every decision about a chapter that exists: `(state, command, now) → new state, events, reply`.
 * Pure: the clock, ids and chance are passed in, nothing is written and nothing is sent. What a decision
 * returns is written whole or not at all. A refusal is a thrown AppError and changes nothing.
 */
import type { GenerationPolicy } from '../config.js'
import type { CallbackAnswer, StartAnswer, StartRefusal } from '../contract/callback.js'
import type { ChapterAccepted } from '../contract/chapter.js'
import type { ChapterEvent, EventName, EventPayload, ProgressUpdate } from '../contract/event.js'
import type { FailureReason, JobKind, JobResults } from '../contract/job.js'
import { WrongStateError } from '../errors.js'
import { type ChapterState, isRunning, type JobState, jobsOf, toInstant } from './chapter.js'
import { actionOf, matchOf, type WorkName } from './job-state.js'
import { eventMessage } from './messages.js'
import { chapterProgress, meanProgress } from './progress.js'
import { backoffMs } from './retry.js'

/** Longest text of a worker’s that is kept in state and events, in characters; the rest is cut off. */
const TEXT_MAX = 2000

export type FinishResult = {
  [K in JobKind]: { kind: K; result: JobResults[K] }
}[JobKind]

export interface PublishedJob {
  kind: JobKind
  jobId: string
  attempt: number
  /** When it was sent; its deadline counts from then. */
  publishedAt: number
}

export type ChapterCommand = { chapterId: number } & (
  | { type: 'start'; kind: JobKind; jobId: string; attempt: number }
  | ({ type: 'finish'; named: WorkName } & FinishResult)
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
  | { type: 'published'; jobs: PublishedJob[] }
  | { type: 'expire'; kind: JobKind; jobId: string; attempt: number }
  | { type: 'lapse'; kind: JobKind; jobId: string; attempt: number }
  | { type: 'retry' }
  | { type: 'cancel' }
)

export interface Replies {
  start: StartAnswer
  finish: CallbackAnswer
  fail: CallbackAnswer
  progress: CallbackAnswer
  published: undefined
  expire: undefined
  lapse: undefined
  retry: ChapterAccepted
  /** `already`: it was cancelled before. */
  cancel: ChapterAccepted & { already: boolean }
}
export type CommandType = keyof Replies

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

export interface Decision<Type extends CommandType = CommandType> {
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

export function decide<C extends ChapterCommand>(
  state: ChapterState,
  command: C,
  context: DecisionContext,
): Decision<C['type']> {
  const draft = new Draft(state, context)
  const reply = decideOn(draft, command)
  return draft.finish(reply)
}

function decideOn(draft: Draft, command: ChapterCommand): Replies[CommandType] {
  switch (command.type) {
    case 'start':
      return start(draft, command)
    case 'finish':
      return finish(draft, command)
    case 'fail':
      return fail(draft, command)
    case 'progress':
      return progress(draft, command)
    case 'published':
      return published(draft, command)
    case 'expire':
      return expire(draft, command)
    case 'lapse':
      return lapse(draft, command)
    case 'retry':
      return retry(draft)
    case 'cancel':
      return cancel(draft)
  }
}

type Command<T extends CommandType> = Extract<ChapterCommand, { type: T }>

function start(draft: Draft, { kind, jobId, attempt }: Command<'start'>): StartAnswer {
  const job = draft.job(kind)
  const refuse = (reason: StartRefusal): StartAnswer => ({
    run: false,
    reason,
  })
  if (draft.chapter.status === 'cancelled') return refuse('cancelled')
  switch (actionOf(job.status, 'start', matchOf(job, { jobId, attempt }))) {
    case 'start': {
      const { now, policy } = draft.context
      const isBusy = job.lastSignAt !== null && now - job.lastSignAt < policy.heartbeatMs
      if (isBusy && job.status === 'published') return refuse('running')
      return { run: true, deadline_at: toInstant(signOfLife(draft, draft.change(kind))) }
    }
    case 'refuse_completed':
      return refuse('completed')
    case 'refuse_cancelled':
      return refuse('cancelled')
    default:
      return refuse('superseded')
  }
}

function finish(draft: Draft, command: Command<'finish'>): CallbackAnswer {
  const { kind } = command
  if (draft.chapter.status === 'cancelled') return draft.answer('ignored', 'the chapter was cancelled')
  const job = draft.job(kind)
  switch (actionOf(job.status, 'finish', matchOf(job, command.named))) {
    case 'complete':
      complete(draft, command)
      return draft.answer('success', `${kind} stored`)
    case 'duplicate':
      return draft.answer('duplicate', `${kind} was stored before; the first result wins`)
    default:
      return draft.answer('ignored', `${kind} is ${job.status}`)
  }
}

function fail(draft: Draft, command: Command<'fail'>): CallbackAnswer {
  const { kind, reason, retryable } = command
  if (draft.chapter.status !== 'processing')
    return draft.answer('ignored', `the chapter is ${draft.chapter.status}`)
  const job = draft.job(kind)
  if (actionOf(job.status, 'fail', matchOf(job, command.named)) !== 'fail')
    return draft.answer('ignored', `this is not the current work on ${kind}`)
  endAttempt(draft, kind, {
    reason,
    error: cut(command.error),
    retryable,
    leastWaitMs: command.retryAfterMs,
  })
  return draft.answer(
    'success',
    draft.job(kind).status === 'failed' ? `${kind} failed` : `${kind} is tried again`,
  )
}

function progress(draft: Draft, command: Command<'progress'>): CallbackAnswer {
  const { kind, named } = command
  const { status } = draft.chapter
  const isUseless = (useless: boolean) => (useless ? ({ cancelled: true } as const) : {})
  const ignored = (why: string, useless: boolean) => ({
    ...draft.answer('ignored', why),
    ...isUseless(useless),
  })
  // A late finish still counts in a failed chapter: going on is not useless there.
  if (status !== 'processing')
    return ignored(
      `the chapter is ${status}`,
      status !== 'failed' || (kind !== undefined && draft.job(kind).status === 'completed'),
    )

  if (kind === undefined) {
    const isNamed = named.jobId !== undefined || named.attempt !== undefined
    if (isNamed && !jobsOf(draft.chapter).some((job) => isRunning(job) && matchOf(job, named) === 'current'))
      return ignored('this is not the current work', false)
    for (const job of jobsOf(draft.chapter))
      if (job.status === 'published') renewDeadline(draft, draft.change(job.kind))
    reportProgress(draft, cut(command.message), { reported: command.progress })
    return draft.answer('success', 'progress noted')
  }

  const job = draft.job(kind)
  switch (actionOf(job.status, 'progress', matchOf(job, named))) {
    case 'progress': {
      const changed = draft.change(kind)
      signOfLife(draft, changed)
      changed.progress = Math.max(changed.progress, command.progress)
      break
    }
    case 'note':
      draft.change(kind).progress = Math.max(job.progress, command.progress)
      break
    default:
      return ignored(`this is not the current work on ${kind}`, job.status === 'completed')
  }
  reportProgress(draft, cut(command.message), { kind })
  return draft.answer('success', 'progress noted')
}

function published(draft: Draft, { jobs }: Command<'published'>): undefined {
  for (const { kind, jobId, attempt, publishedAt } of jobs) {
    const job = draft.job(kind)
    if (actionOf(job.status, 'published', matchOf(job, { jobId, attempt })) !== 'publish') continue
    const changed = draft.change(kind)
    changed.status = 'published'
    changed.deadlineAt = publishedAt + draft.context.policy.queueTimeoutMs
  }
}

function expire(draft: Draft, { kind, jobId, attempt }: Command<'expire'>): undefined {
  const job = draft.job(kind)
  if (actionOf(job.status, 'expire', matchOf(job, { jobId, attempt })) !== 'time_out') return
  if (job.deadlineAt === null || job.deadlineAt > draft.context.now) return
  draft.emit(`${kind}_timeout`, {
    status: 'timeout',
    attempt: job.attempt,
    max_attempts: job.maxAttempts,
  })
  endAttempt(draft, kind, {
    reason: 'timeout',
    error: null,
    retryable: true,
    leastWaitMs: 0,
  })
}

function lapse(draft: Draft, { kind, jobId, attempt }: Command<'lapse'>): undefined {
  const job = draft.job(kind)
  if (actionOf(job.status, 'lapse', matchOf(job, { jobId, attempt })) !== 'requeue') return
  const changed = draft.change(kind)
  changed.status = 'queued'
  changed.dueAt = draft.context.now
  changed.deadlineAt = null
  // `startedAt` stays: this attempt's `{kind}_started` is in the log. The sign of life goes with its process.
  changed.lastSignAt = null
}

function retry(draft: Draft): ChapterAccepted {
  const { chapter, context } = draft
  const restarted = jobsOf(chapter).filter((job) => actionOf(job.status, 'retry', 'unnamed') === 'restart')
  const isOpen = chapter.status === 'processing' || chapter.status === 'failed'
  if (!isOpen || restarted.length === 0)
    throw new WrongStateError(
      isOpen
        ? `Chapter ${chapter.id} has no failed job to try again`
        : `Chapter ${chapter.id} is ${chapter.status}; only one that is processing or failed can be tried again`,
    )
  for (const { kind } of restarted) {
    const job = draft.change(kind)
    job.jobId = context.newId()
    job.requestedAt = context.now
    job.maxAttempts = context.policy.maxAttempts
    requeue(job, 1, context.now)
    job.failure = null
  }
  const changed = draft.changeChapter()
  const isNewRun = changed.status === 'failed'
  changed.status = 'processing'
  changed.completedAt = null
  draft.emit('chapter_retrying', { status: 'retrying' })
  // A new run begins where its jobs stand; a retry within a run must not move the bar back.
  if (isNewRun) changed.progress = meanProgress(changed)
  noteProgress(draft, {
    message: eventMessage('chapter_retrying', changed.locale),
  })
  return accepted(changed)
}

function cancel(draft: Draft): ChapterAccepted & { already: boolean } {
  const { chapter } = draft
  if (chapter.status === 'cancelled') return { ...accepted(chapter), already: true }
  if (chapter.status !== 'processing')
    throw new WrongStateError(
      `Chapter ${chapter.id} is ${chapter.status}; only a processing one can be cancelled`,
    )
  for (const job of jobsOf(chapter)) {
    if (actionOf(job.status, 'cancel', 'unnamed') !== 'cancel') continue
    const changed = draft.change(job.kind)
    changed.status = 'cancelled'
    changed.deadlineAt = null
  }
  draft.changeChapter().status = 'cancelled'
  draft.emit('chapter_cancelled', { status: 'cancelled' })
  return { ...accepted(draft.chapter), already: false }
}

/** The result is stored and told of; the chapter may end with it. */
function complete(draft: Draft, { kind, result }: FinishResult): void {
  draft.results.push({ kind, result } as FinishResult)
  const job = draft.change(kind)
  job.status = 'completed'
  job.progress = 100
  job.deadlineAt = null
  job.failure = null
  const chapter = draft.changeChapter()
  if (kind === 'concept')
    draft.emit('concept_completed', {
      status: 'completed',
      concept_id: chapter.conceptId,
    })
  else if (kind === 'exercise')
    draft.emit('exercise_completed', {
      status: 'completed',
      exercise_id: chapter.exerciseId,
    })
  else {
    chapter.quizCount = (result as JobResults['quiz']).quizzes.length
    draft.emit('quiz_completed', {
      status: 'completed',
      quiz_count: chapter.quizCount,
    })
  }
  reportProgress(draft, eventMessage(`${kind}_completed`, chapter.locale), {
    kind,
  })
  endRun(draft)
}

interface AttemptEnd {
  reason: FailureReason
  error: string | null
  retryable: boolean
  leastWaitMs: number
}

/** The current attempt is over: the next one is scheduled, or the job fails, and perhaps the chapter. */
function endAttempt(draft: Draft, kind: JobKind, end: AttemptEnd): void {
  const { now, policy, random } = draft.context
  const job = draft.change(kind)
  const { reason, error } = end
  const failure = { reason, ...(error === null ? {} : { error }) }
  const hadProgress = job.progress > 0
  job.failure = { reason, error }

  if (end.retryable && job.attempt < job.maxAttempts) {
    const next = job.attempt + 1
    const retryAt = now + Math.max(backoffMs(next, policy, random), end.leastWaitMs)
    requeue(job, next, retryAt)
    draft.emit(`${kind}_retrying`, {
      status: 'retrying',
      attempt: next,
      max_attempts: job.maxAttempts,
      retry_at: toInstant(retryAt),
      ...failure,
    })
    if (hadProgress) reportProgress(draft, eventMessage(`${kind}_retrying`, draft.chapter.locale), { kind })
    return
  }

  const { jobId, attempt, maxAttempts, requestedAt, deadlineAt } = job
  draft.deadLetters.push({
    kind,
    jobId,
    attempt,
    maxAttempts,
    requestedAt,
    deadlineAt,
    reason,
    error,
    failedAt: now,
  })
  job.status = 'failed'
  job.deadlineAt = null
  job.progress = 0
  draft.emit(`${kind}_failed`, { status: 'failed', attempt, ...failure })
  if (hadProgress) reportProgress(draft, eventMessage(`${kind}_failed`, draft.chapter.locale), { kind })
  endRun(draft)
}

/** Ends the run when nothing runs any more: `all_completed` at most once ever, `chapter_failed` once a run. */
function endRun(draft: Draft): void {
  const jobs = jobsOf(draft.chapter)
  if (jobs.every((job) => job.status === 'completed')) {
    const chapter = draft.changeChapter()
    chapter.status = 'completed'
    chapter.completedAt = draft.context.now
    reportProgress(draft, eventMessage('all_completed', chapter.locale), {
      reported: 100,
    })
    draft.emit('all_completed', { status: 'all_completed' })
    return
  }
  if (draft.chapter.status !== 'processing' || jobs.some(isRunning)) return
  draft.changeChapter().status = 'failed'
  draft.emit('chapter_failed', {
    status: 'failed',
    failed: jobs.filter((job) => job.status === 'failed').map((job) => job.kind),
  })
}

function requeue(job: JobState, attempt: number, dueAt: number): void {
  job.status = 'queued'
  job.attempt = attempt
  job.dueAt = dueAt
  job.deadlineAt = null
  job.startedAt = null
  job.lastSignAt = null
  job.progress = 0
}

/**
 * A worker is at this attempt: its deadline counts from now, and the first sign is told.
 * @returns the deadline
 */
function signOfLife(draft: Draft, job: JobState): number {
  const { now } = draft.context
  job.status = 'published'
  if (job.startedAt === null) {
    job.startedAt = now
    draft.emit(`${job.kind}_started`, {
      status: 'started',
      attempt: job.attempt,
    })
  }
  // Until now the deadline was that of the queue, which may be later: a worker that hangs is found sooner.
  if (job.lastSignAt === null) job.deadlineAt = null
  job.lastSignAt = now
  return renewDeadline(draft, job)
}

/** Never earlier than it was. What says nothing of this job is a sign of life only while it had one. */
function renewDeadline(draft: Draft, job: JobState): number {
  const { now, policy } = draft.context
  const deadlineAt = Math.max(job.deadlineAt ?? 0, now + policy.timeoutMs)
  job.deadlineAt = deadlineAt
  if (job.lastSignAt !== null) job.lastSignAt = now
  return deadlineAt
}

/** Raises the chapter’s progress, and makes the latest `progress_update` say so, if it says anything new. */
function reportProgress(draft: Draft, message: string, of: { kind?: JobKind; reported?: number }): void {
  const chapter = draft.changeChapter()
  chapter.progress = chapterProgress(chapter, of.reported)
  noteProgress(draft, {
    message,
    ...(of.kind === undefined ? {} : { kind: of.kind }),
  })
}

function noteProgress(draft: Draft, { message, kind }: { message: string; kind?: JobKind }): void {
  const chapter = draft.changeChapter()
  const update: ProgressUpdate = {
    chapter_id: chapter.id,
    progress: chapter.progress,
    message,
    ...(kind === undefined ? {} : { kind, kind_progress: chapter.jobs[kind].progress }),
  }
  const last = chapter.latestProgress
  const isNews =
    last === null ||
    last.progress !== update.progress ||
    last.message !== update.message ||
    last.kind !== update.kind ||
    last.kind_progress !== update.kind_progress
  if (!isNews) return
  chapter.latestProgress = update
  chapter.progressVersion = draft.nextVersion
}

function accepted(chapter: ChapterState): ChapterAccepted {
  return {
    chapter_id: chapter.id,
    status: chapter.status,
    last_seq: chapter.lastSeq,
  }
}

function cut(text: string): string {
  const characters = [...text.slice(0, 2 * TEXT_MAX + 2)]
  return characters.length <= TEXT_MAX ? text : `${characters.slice(0, TEXT_MAX).join('')}…`
}

/** The fields of an event that its decision knows; the rest is the same for all. */
type EventFields<Name extends EventName> = Omit<EventPayload<Name>, 'chapter_id' | 'message' | 'seq' | 'at'>

/**
 * A state under decision. What changes is copied first: the state that came in stays as it was, and a job
 * that did not change stays the same object, by which a writer tells the changed ones.
 */
class Draft {
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
