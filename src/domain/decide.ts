/**
 * Every decision about a chapter that exists: `(state, command, now) → new state, events, reply`.
 * Pure: the clock, ids and chance are passed in, nothing is written and nothing is sent. What a decision
 * returns is written whole or not at all. A refusal is a thrown AppError and changes nothing.
 */
import { type ReadQuiz, settleQuiz } from '../answers/quiz.js'
import type { CallbackAnswer, StartAnswer, StartRefusal } from '../contract/callback.js'
import type { ChapterAccepted } from '../contract/chapter.js'
import { InvalidRequestError, WrongStateError } from '../errors.js'
import { type ChapterState, isRunning, jobsOf, toInstant } from './chapter.js'
import type { ChapterCommand, CommandType, Decision, DecisionContext, Replies } from './command.js'
import { Draft } from './draft.js'
import { actionOf, matchOf } from './job-state.js'
import { eventMessage } from './messages.js'
import { meanProgress } from './progress.js'
import {
  complete,
  endAttempt,
  noteProgress,
  renewDeadline,
  reportProgress,
  requeue,
  signOfLife,
} from './transition.js'

/** Longest text of a worker’s that is kept in state and events, in characters; the rest is cut off. */
const TEXT_MAX = 2000

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

/** @throws {InvalidRequestError} when too few questions are good for what the chapter asked for */
function finish(draft: Draft, command: Command<'finish'>): Replies['finish'] {
  const { kind } = command
  if (draft.chapter.status === 'cancelled') return draft.answer('ignored', 'the chapter was cancelled')
  const job = draft.job(kind)
  switch (actionOf(job.status, 'finish', matchOf(job, command.named))) {
    case 'complete':
      if (command.kind === 'quiz') return finishQuiz(draft, command.result)
      complete(draft, command)
      return draft.answer('success', `${kind} stored`)
    case 'duplicate':
      return draft.answer('duplicate', `${kind} was stored before; the first result wins`)
    default:
      return draft.answer('ignored', `${kind} is ${job.status}`)
  }
}

function finishQuiz(draft: Draft, read: ReadQuiz): Replies['finish'] {
  const { id: chapterId, locale, quizCount } = draft.chapter
  const minShare = draft.context.policy.quizMinShare
  const settled = settleQuiz(read, { chapterId, locale, quizCount, minShare })
  if ('violations' in settled) throw new InvalidRequestError(settled.violations)
  complete(draft, { kind: 'quiz', result: settled.result })
  return { ...draft.answer('success', 'quiz stored'), mended: settled.mended }
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
  // 100 is said only at the end.
  const percent = Math.min(99, command.progress)
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
    reportProgress(draft, cut(command.message), { reported: percent })
    return draft.answer('success', 'progress noted')
  }

  const job = draft.job(kind)
  switch (actionOf(job.status, 'progress', matchOf(job, named))) {
    case 'progress': {
      const changed = draft.change(kind)
      signOfLife(draft, changed)
      changed.progress = Math.max(changed.progress, percent)
      break
    }
    case 'note':
      draft.change(kind).progress = Math.max(job.progress, percent)
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
