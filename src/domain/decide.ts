/**
 * Every decision about a chapter that exists: `(state, command, context) → Decision`. A decision looks up its action in
 * the job table, takes the steps of that action (`steps.ts`) and builds the reply.
 *
 * Pure: the clock, ids and chance are passed in, nothing is written and nothing is sent. What a decision returns is
 * written whole or not at all. A refusal is a thrown AppError and changes nothing.
 */
import { type ReadQuiz, settleQuiz } from '../answers/quiz.js'
import type { CallbackAnswer, StartAnswer, StartRefusal } from '../contract/callback.js'
import type { ChapterAccepted } from '../contract/chapter.js'
import type { JobKind } from '../contract/job.js'
import type { RevisionAccepted } from '../contract/revision.js'
import { toInstant } from '../contract/wire.js'
import { InvalidRequestError, RevisionNotFoundError, WrongStateError } from '../errors.js'
import { Changes } from './changes.js'
import { type ChapterState, contentRevisionOf, isRunning, type JobState, jobsOf } from './chapter.js'
import type { ChapterCommand, CommandType, Decision, DecisionContext, Replies } from './command.js'
import { actionOf, type JobAction, type JobInput, matchOf, standingOf, type WorkName } from './job-table.js'
import {
  cancelAll,
  complete,
  endAttempt,
  heartbeat,
  raiseJobProgress,
  raiseProgress,
  regenerate as regenerateKind,
  renewDeadlines,
  requeue,
  restart as restartJobs,
  restore as restoreContent,
  startAnew,
  timeOut,
} from './steps.js'

/** Longest text of a worker's that is kept in state and events, in characters; the rest is cut off. */
const TEXT_MAX = 2000

export function decide<C extends ChapterCommand>(
  state: ChapterState,
  command: C,
  context: DecisionContext,
): Decision<C['type']> {
  const changes = new Changes(state, context)
  const decideOn = DECISIONS[command.type] as (
    changes: Changes,
    command: ChapterCommand,
  ) => Replies[C['type']]
  return changes.decision<C['type']>(decideOn(changes, command))
}

type Command<T extends CommandType> = Extract<ChapterCommand, { type: T }>

const DECISIONS: { [T in CommandType]: (changes: Changes, command: never) => Replies[T] } = {
  start,
  finish,
  fail,
  progress,
  partial,
  expire,
  hold_expired: holdExpired,
  retry,
  restart,
  cancel,
  regenerate,
  restore,
  delete: erase,
}

/** What the job table says of this input. */
function actionOn(job: JobState, input: JobInput, named: WorkName): JobAction {
  return actionOf(standingOf(job), input, matchOf(job, named))
}

function start(changes: Changes, { kind, jobId, attempt }: Command<'start'>): StartAnswer {
  const job = changes.job(kind)
  const refuse = (reason: StartRefusal): StartAnswer => ({ run: false, reason })
  if (changes.chapter.status === 'cancelled') return refuse('cancelled')
  switch (actionOn(job, 'start', { jobId, attempt })) {
    case 'start': {
      const { now, policy } = changes.context
      const isBusy = job.lastHeardAt !== null && now - job.lastHeardAt < policy.heartbeatMs
      if (isBusy && job.status === 'published') return refuse('running')
      return { run: true, deadline_at: toInstant(heartbeat(changes, kind)) }
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
function finish(changes: Changes, command: Command<'finish'>): Replies['finish'] {
  const { kind } = command
  if (changes.chapter.status === 'cancelled') return answer(changes, 'ignored', 'the chapter was cancelled')
  const job = changes.job(kind)
  switch (actionOn(job, 'finish', command.named)) {
    case 'complete':
      if (command.kind === 'quiz') return finishQuiz(changes, command.result)
      complete(changes, command)
      return answer(changes, 'success', `${kind} stored`)
    case 'duplicate':
      return contentRevisionOf(job) === null
        ? answer(changes, 'ignored', `this is the result of an earlier job of ${kind}`)
        : answer(changes, 'duplicate', `${kind} was stored before; the first result wins`)
    default:
      return answer(changes, 'ignored', `${kind} is ${job.status}`)
  }
}

function finishQuiz(changes: Changes, read: ReadQuiz): Replies['finish'] {
  const { id: chapterId, locale, quizCount } = changes.chapter
  const minShare = changes.context.policy.quizMinShare
  const settled = settleQuiz(read, { chapterId, locale, quizCount, minShare })
  if ('violations' in settled) throw new InvalidRequestError(settled.violations)
  complete(changes, { kind: 'quiz', result: settled.result })
  return { ...answer(changes, 'success', 'quiz stored'), mended: settled.mended }
}

function fail(changes: Changes, command: Command<'fail'>): CallbackAnswer {
  const { kind, reason, retryable } = command
  if (changes.chapter.status !== 'processing')
    return answer(changes, 'ignored', `the chapter is ${changes.chapter.status}`)
  const job = changes.job(kind)
  if (actionOn(job, 'fail', command.named) !== 'fail')
    return answer(changes, 'ignored', `this is not the current work on ${kind}`)
  endAttempt(changes, kind, {
    reason,
    error: cut(command.error),
    retryable,
    leastWaitMs: command.retryAfterMs,
  })
  return answer(
    changes,
    'success',
    isRunning(changes.job(kind)) ? `${kind} is tried again` : `${kind} failed`,
  )
}

function progress(changes: Changes, command: Command<'progress'>): CallbackAnswer {
  const { kind, named } = command
  // 100 is said only at the end.
  const percent = Math.min(99, command.progress)
  const { status } = changes.chapter
  const ignored = (why: string, isUseless: boolean): CallbackAnswer => ({
    ...answer(changes, 'ignored', why),
    ...(isUseless ? { cancelled: true } : {}),
  })
  // A late finish still counts in a failed chapter: going on is not useless there.
  if (status !== 'processing')
    return ignored(
      `the chapter is ${status}`,
      status !== 'failed' || (kind !== undefined && changes.job(kind).status === 'completed'),
    )

  if (kind === undefined) {
    const isNamed = named.jobId !== undefined || named.attempt !== undefined
    if (
      isNamed &&
      !jobsOf(changes.chapter).some((job) => isRunning(job) && matchOf(job, named) === 'current')
    )
      return ignored('this is not the current work', false)
    renewDeadlines(changes)
    raiseProgress(changes, cut(command.message), { reported: percent })
    return answer(changes, 'success', 'progress noted')
  }

  const job = changes.job(kind)
  switch (actionOn(job, 'progress', named)) {
    case 'progress':
      heartbeat(changes, kind)
      break
    case 'note':
      break
    default:
      return ignored(`this is not the current work on ${kind}`, job.status === 'completed')
  }
  raiseJobProgress(changes, kind, percent, cut(command.message))
  return answer(changes, 'success', 'progress noted')
}

/** Text of an attempt begins to come: a heartbeat, as `progress` is. The text itself is in no decision. */
function partial(changes: Changes, { kind, named }: Command<'partial'>): Replies['partial'] {
  const { status } = changes.chapter
  const job = changes.job(kind)
  // As for progress: a late finish still counts in a failed chapter.
  const isUseless = job.status === 'completed' || (status !== 'processing' && status !== 'failed')
  const ignored = (why: string): CallbackAnswer => ({
    ...answer(changes, 'ignored', why),
    ...(isUseless ? { cancelled: true } : {}),
  })
  if (status !== 'processing') return ignored(`the chapter is ${status}`)
  const match = matchOf(job, named)
  if (match === 'unnamed')
    return ignored('name the work: text without job_id and attempt may be of another attempt')
  if (actionOf(job.status, 'progress', match) !== 'progress')
    return ignored(`this is not the current work on ${kind}`)
  heartbeat(changes, kind)
  const { jobId, attempt } = job
  const { lastSeq } = changes.chapter
  return { ...answer(changes, 'success', 'text noted'), work: { jobId, attempt, lastSeq } }
}

function expire(changes: Changes, { kind, jobId, attempt }: Command<'expire'>): undefined {
  const job = changes.job(kind)
  if (actionOn(job, 'expire', { jobId, attempt }) !== 'time_out') return
  if (job.deadlineAt === null || job.deadlineAt > changes.context.now) return
  timeOut(changes, kind)
}

function holdExpired(changes: Changes, command: Command<'hold_expired'>): undefined {
  const { kind, jobId, attempt, dueAt } = command
  const job = changes.job(kind)
  if (actionOn(job, 'hold_expired', { jobId, attempt }) === 'requeue') requeue(changes, kind, dueAt)
}

function retry(changes: Changes, { jobIds }: Command<'retry'>): Replies['retry'] {
  const { id, status } = changes.chapter
  const failed = kindsWith(changes, 'retry', 'restart').filter(
    (kind) => jobIds?.includes(changes.job(kind).jobId) ?? true,
  )
  const isOpen = status === 'processing' || status === 'failed'
  if (!isOpen || failed.length === 0)
    throw new WrongStateError(
      isOpen
        ? `Chapter ${id} has no failed job to try again`
        : `Chapter ${id} is ${status}; only one that is processing or failed can be tried again`,
    )
  restartJobs(changes, failed)
  return { ...accepted(changes), restarted: failed }
}

function restart(changes: Changes, { kind }: Command<'restart'>): Replies['restart'] {
  const { id, status } = changes.chapter
  if (status !== 'processing' && status !== 'failed')
    throw new WrongStateError(`Chapter ${id} is ${status}; nothing of it can be started anew`)
  const job = changes.job(kind)
  switch (actionOn(job, 'restart', {})) {
    case 'send_now':
      if (job.dueAt <= changes.context.now) return { message: `${kind} is to be sent already` }
      requeue(changes, kind)
      return { message: `${kind} is sent now; it does not wait any longer` }
    case 'start_anew':
      startAnew(changes, kind)
      return {
        message: `${kind} is sent anew; what its worker says from now on is ignored, but for a result`,
      }
    case 'restart':
      restartJobs(changes, [kind])
      return { message: `${kind} begins again at attempt 1` }
    default:
      throw new WrongStateError(`The ${kind} is ${job.status}; it cannot be started anew`)
  }
}

function cancel(changes: Changes): ChapterAccepted & { already: boolean } {
  const { id, status } = changes.chapter
  if (status === 'cancelled') return { ...accepted(changes), already: true }
  if (status !== 'processing')
    throw new WrongStateError(`Chapter ${id} is ${status}; only a processing one can be cancelled`)
  cancelAll(changes, kindsWith(changes, 'cancel', 'cancel'))
  return { ...accepted(changes), already: false }
}

function regenerate(changes: Changes, { kind, instruction }: Command<'regenerate'>): RevisionAccepted {
  requireEnded(changes, 'only what is completed or failed can be generated again')
  const job = changes.job(kind)
  if (actionOn(job, 'regenerate', {}) !== 'regenerate')
    throw new WrongStateError(`The ${kind} is ${job.status}; it cannot be generated again now`)
  regenerateKind(changes, kind, instruction)
  return revisionAccepted(changes, kind)
}

function restore(changes: Changes, command: Command<'restore'>): RevisionAccepted {
  const { kind, revision, content, instruction } = command
  requireEnded(changes, 'a revision is restored only in one that is completed or failed')
  const current = contentRevisionOf(changes.job(kind))
  if (current === null) throw new RevisionNotFoundError(kind, revision)
  if (current !== revision) {
    if (content === undefined) throw new WrongStateError(`The ${kind} was changed meanwhile; ask again`)
    restoreContent(changes, content, instruction)
  }
  return revisionAccepted(changes, kind)
}

function erase(changes: Changes): undefined {
  changes.changeChapter()
  changes.isDeleted = true
}

function requireEnded({ chapter: { id, status } }: Changes, rule: string): void {
  if (status !== 'completed' && status !== 'failed')
    throw new WrongStateError(`Chapter ${id} is ${status}; ${rule}`)
}

function revisionAccepted(changes: Changes, kind: JobKind): RevisionAccepted {
  const job = changes.job(kind)
  const revision = isRunning(job) ? job.revision : (contentRevisionOf(job) ?? job.revision)
  return { ...accepted(changes), kind, revision }
}

/** The kinds whose jobs answer this input of a client with that action. */
function kindsWith(changes: Changes, input: 'retry' | 'cancel', action: JobAction) {
  return jobsOf(changes.chapter)
    .filter((job) => actionOn(job, input, {}) === action)
    .map((job) => job.kind)
}

function answer({ chapter }: Changes, status: CallbackAnswer['status'], message: string): CallbackAnswer {
  return { status, message, chapter_id: chapter.id }
}

function accepted({ chapter: { id, status, lastSeq } }: Changes): ChapterAccepted {
  return { chapter_id: id, status, last_seq: lastSeq }
}

function cut(text: string): string {
  const characters = [...text.slice(0, 2 * TEXT_MAX + 2)]
  return characters.length <= TEXT_MAX ? text : `${characters.slice(0, TEXT_MAX).join('')}…`
}
