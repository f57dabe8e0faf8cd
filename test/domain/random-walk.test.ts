/**
 * Thousands of random histories of a chapter: whatever workers, clients, timers and deaths of processes do, in
 * any order, with a clock that moves and names that are right, stale or missing, what a chapter promises holds.
 * A failure names its seed; `WALK_SEED=7` walks that one alone.
 */
import { ok, deepStrictEqual as same } from 'node:assert/strict'
import t from 'tap'
import { CallbackAnswer, StartAnswer } from '../../src/contract/callback.js'
import { ChapterAccepted } from '../../src/contract/chapter.js'
import { END_EVENTS, ProgressUpdate } from '../../src/contract/event.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { RevisionAccepted } from '../../src/contract/revision.js'
import { compileCheck } from '../../src/contract/validation.js'
import { type ChapterState, isKept, isRunning, type JobState, jobsOf } from '../../src/domain/chapter.js'
import type { ChapterCommand, Decision, FinishResult } from '../../src/domain/command.js'
import { RevisionNotFoundError, WrongStateError } from '../../src/errors.js'
import {
  at,
  created,
  decideOn,
  failOf,
  finishOf,
  markedPublished,
  NOON,
  namesOf,
  POLICY,
  progressOf,
} from '../support/chapters.js'
import { seeded } from '../support/random.js'

const WALKS = 600
const STEPS = 50
const isStart = compileCheck(StartAnswer)
const isCallback = compileCheck(CallbackAnswer)
const isAccepted = compileCheck(ChapterAccepted)
const isRevisionAccepted = compileCheck(RevisionAccepted)
const isProgress = compileCheck(ProgressUpdate)

t.test('whatever happens in whatever order, a chapter keeps its promises', async (t) => {
  const only = process.env.WALK_SEED
  const seeds = only ? [Number(only)] : Array.from({ length: WALKS }, (_, index) => index + 1)
  const seen = new Map<string, number>()
  for (const seed of seeds) {
    const log: string[] = []
    try {
      for (const name of walk(seed, log)) seen.set(name, (seen.get(name) ?? 0) + 1)
    } catch (error) {
      throw new Error(`seed ${seed}, after\n${log.slice(-8).join('\n')}`, { cause: error })
    }
  }
  if (only) return t.pass()
  for (const name of [
    ...END_EVENTS,
    'chapter_retrying',
    'quiz_timeout',
    'quiz_regenerating',
    'kept',
    'restored',
    'late result',
    'duplicate',
    'running',
    'busy',
  ])
    t.ok((seen.get(name) ?? 0) > 20, `${name} happened ${seen.get(name)} times`)
  t.ok(seen.has('late revision'), 'a result that is late for a revision that failed')
})

/** What a walk remembers, beyond the state. */
interface Memory {
  works: { jobId: string; attempt: number }[]
  started: Set<string>
  stored: Set<string>
  allCompleted: number
  /** `chapter_failed` since the run began. */
  failures: number
}

function walk(seed: number, log: string[]): string[] {
  const random = seeded(seed)
  const { pick } = random
  const memory: Memory = { works: [], started: new Set(), stored: new Set(), allCompleted: 0, failures: 0 }
  const seen: string[] = []
  let now = NOON
  let ids = 0
  const newId = () => `${String(++ids).padStart(8, '0')}-0000-4000-8000-${String(seed).padStart(12, '0')}`
  const contextAt = () => at(now, { random, newId })
  let { state } = created({ locale: pick(['ko', 'en'] as const) }, contextAt())
  let seq = 4

  for (let step = 0; step < STEPS; step += 1) {
    // Mostly forwards, over every duration of the policy; a little back, as clocks of other nodes are.
    now += pick([0, 1, 500, 5000, POLICY.heartbeatMs, POLICY.timeoutMs, POLICY.queueTimeoutMs, -700])
    for (const { jobId, attempt } of jobsOf(state)) memory.works.push({ jobId, attempt })
    if (random() < 0.15) {
      const kinds = random() < 0.5 ? JOB_KINDS : [pick(JOB_KINDS)]
      log.push(`${now - NOON} published ${kinds}`)
      state = markedPublished(state, kinds, now)
      checkState(state)
      continue
    }
    const command = randomCommand(state, memory, random, pick)
    log.push(`${now - NOON} ${JSON.stringify(command)}`)
    let decision: Decision
    try {
      decision = decideOn(state, command, contextAt())
    } catch (error) {
      ok(error instanceof WrongStateError || error instanceof RevisionNotFoundError, String(error))
      ok(['retry', 'cancel', 'regenerate', 'restore'].includes(command.type))
      continue
    }
    same(
      decision.events.map(({ payload }) => payload.seq),
      decision.events.map((_, index) => seq + 1 + index),
      'seq is dense',
    )
    seq += decision.events.length
    checkStep(state, command, decision, now)
    checkHistory(state, command, decision, memory)
    checkState(decision.state)
    if (command.type === 'finish' && decision.results.length > 0 && state.status === 'failed')
      seen.push('late result')
    if (
      command.type === 'fail' &&
      state.jobs[command.kind].attempt === decision.state.jobs[command.kind].attempt
    )
      if (namesOf(decision).includes(`${command.kind}_retrying`)) seen.push('busy')
    if (jobsOf(decision.state).some(isKept)) seen.push('kept')
    if (command.type === 'restore' && decision.results.length > 0) seen.push('restored')
    if (command.type === 'finish' && decision.results.length > 0 && isKept(state.jobs[command.kind]))
      seen.push('late revision')
    const reply = decision.reply as { status?: string; reason?: string } | undefined
    seen.push(...namesOf(decision), reply?.reason ?? '', reply?.status ?? '')
    state = decision.state
  }
  return seen
}

function randomCommand(
  state: ChapterState,
  memory: Memory,
  random: () => number,
  pick: <T>(items: readonly T[]) => T,
): ChapterCommand {
  const chapterId = 1
  const kept = JOB_KINDS.filter((each) => isKept(state.jobs[each]))
  const kind = pick([...JOB_KINDS, ...kept, ...kept, ...kept, ...kept])
  const current = { jobId: state.jobs[kind].jobId, attempt: state.jobs[kind].attempt }
  const work = kept.includes(kind) || random() < 0.7 ? current : pick(memory.works)
  const named = pick([{}, work, work, { jobId: work.jobId }, { attempt: work.attempt }])
  const type = pick([
    ...(['start', 'start', 'finish', 'progress', 'progress', 'fail', 'fail', 'fail'] as const),
    ...(['expire', 'expire', 'hold_expired', 'retry'] as const),
    ...(isKept(state.jobs[kind]) ? (['finish', 'finish', 'finish', 'finish'] as const) : []),
    // Now and then in a run, and mostly where it is possible.
    ...(state.status === 'processing' && random() < 0.9 ? [] : (['regenerate', 'restore'] as const)),
    ...(random() < 0.1 ? (['cancel'] as const) : []),
  ])
  switch (type) {
    case 'start':
    case 'expire':
    case 'hold_expired':
      return { type, chapterId, kind, ...work }
    case 'finish':
      return finishOf(kind, named)
    case 'fail':
      return failOf(kind, {
        named,
        reason: pick(['model_error', 'rate_limited', 'unavailable', 'invalid_result']),
        retryable: random() < 0.6,
        retryAfterMs: pick([0, 0, 1000, 3_600_000]),
      })
    case 'progress': {
      const percent = pick([0, 1, 33.3, 50, 99, 100])
      return progressOf(percent, random() < 0.7 ? { kind, named } : { named })
    }
    case 'regenerate':
      return { type, chapterId, kind, instruction: pick([null, 'better']) }
    case 'restore': {
      const content = { kind, result: finishOf(kind).result } as unknown as FinishResult
      return { type, chapterId, kind, revision: pick([1, 2, 3]), instruction: null, content }
    }
    default:
      return { type, chapterId }
  }
}

/** What holds between the state before and the one after. */
function checkStep(before: ChapterState, command: ChapterCommand, decision: Decision, now: number): void {
  const { state, events, results, deadLetters, reply } = decision
  if (state === before) {
    same([events, results, deadLetters], [[], [], []], 'nothing changed, and nothing is said')
  } else {
    ok(state.version === before.version + 1, 'one version a decision')
    ok(state.updatedAt >= before.updatedAt)
    for (const kind of ['ignored', 'duplicate'])
      ok((reply as { status?: string })?.status !== kind, `${kind} changes nothing`)
  }
  ok(state.lastSeq === before.lastSeq + events.length)
  const isNewRun = before.status !== 'processing' && state.status === 'processing'
  const isAgain = command.type === 'regenerate' || command.type === 'restore'
  ok(isNewRun || state.progress >= before.progress, 'progress never falls within a run')
  if (state.latestProgress !== before.latestProgress) ok(state.progressVersion === state.version)
  else ok(state.progressVersion === before.progressVersion)

  for (const kind of JOB_KINDS) {
    const [was, is] = [before.jobs[kind], state.jobs[kind]]
    if (was.status === 'completed' && !isKept(was) && !isAgain)
      ok(is === was, 'what is stored stays as it is')
    ok(
      is.revision === was.revision || (isAgain && is.revision === was.revision + 1),
      'a revision is asked for',
    )
    if (was.keptRevision !== null && is.keptRevision === null)
      ok(is.status === 'completed', 'what is kept stays until there is another')
    if (before.status === 'cancelled') ok(is === was)
    const isStored = results.some((result) => result.kind === kind)
    const isCompleted = isStored || (is.status === 'completed' && was.status !== 'completed' && !isKept(is))
    same(results.filter((result) => result.kind === kind).length, isCompleted ? 1 : 0)
    const names = namesOf(decision)
    same(names.includes(`${kind}_completed`), isCompleted)
    const isFailed = is.status === 'failed' && was.status !== 'failed'
    same(names.includes(`${kind}_failed`), isFailed || (isKept(is) && isRunning(was)))
    same(
      names.includes(`${kind}_failed`),
      deadLetters.some((letter) => letter.kind === kind),
    )
    if (names.includes(`${kind}_timeout`)) ok(was.deadlineAt !== null && was.deadlineAt <= now)
    checkAttempt(was, is, { isRetrying: names.includes(`${kind}_retrying`), command, now })
  }
  if (command.type === 'start') same(isStart(reply), [])
  else if (isAgain) same(isRevisionAccepted(reply), [])
  else if (command.type === 'retry' || command.type === 'cancel') same(isAccepted(reply), [])
  else if (reply !== undefined) same(isCallback(reply), [])
}

interface End {
  isRetrying: boolean
  command: ChapterCommand
  now: number
}

function checkAttempt(was: JobState, is: JobState, { isRetrying, command, now }: End): void {
  const isBusy =
    command.type === 'fail' && ['rate_limited', 'unavailable'].includes(command.reason) && command.retryable
  const isFree = isRetrying && isBusy && now - was.requestedAt < POLICY.patienceMs
  if (isFree) {
    ok(is.jobId !== was.jobId && is.attempt === was.attempt, 'a busy model costs no attempt')
    ok(is.requestedAt === was.requestedAt && is.dueAt >= now + 15_000, 'it is waited for, and the job ages')
    return
  }
  if (is.jobId !== was.jobId) {
    const isOver = was.status === 'failed' || (was.status === 'completed' && is.revision > was.revision)
    ok(isOver && is.status === 'queued' && is.attempt === 1, 'only what is asked for again has a new id')
    return
  }
  ok(is.attempt === was.attempt + (isRetrying ? 1 : 0), 'an attempt rises when the next is scheduled')
  if (is.attempt === was.attempt && is.status !== 'failed' && !isKept(is))
    ok(is.progress >= was.progress, 'an attempt’s progress never falls')
}

/** What holds over a whole history. */
function checkHistory(
  before: ChapterState,
  command: ChapterCommand,
  { events, state: { status, jobs } }: Pick<Decision, 'events' | 'state'>,
  memory: Memory,
): void {
  // A late result of a revision that failed comes after the end of its run.
  const isLate = command.type === 'finish' && isKept(before.jobs[command.kind]) && events.length > 0
  if (isLate && before.status === 'completed') memory.allCompleted = 0
  for (const { name, payload } of events) {
    ok(payload.message !== '')
    if (name === 'chapter_retrying' && before.status === 'failed') memory.failures = 0
    if (name.endsWith('_regenerating')) {
      ok(before.status !== 'processing')
      memory.failures = 0
      memory.allCompleted = 0
    }
    if (name === 'chapter_failed') memory.failures += 1
    if (name === 'all_completed') memory.allCompleted += 1
    if (name === 'chapter_failed')
      same(
        payload.failed,
        JOB_KINDS.filter((kind) => jobs[kind].status === 'failed'),
      )
    for (const kind of JOB_KINDS) {
      if (name === `${kind}_started`) {
        const { jobId, attempt } = jobs[kind]
        ok(!memory.started.has(`${jobId} ${attempt}`), `${name} once an attempt`)
        memory.started.add(`${jobId} ${attempt}`)
      }
      if (name === `${kind}_completed`) {
        const revision = `${kind} ${jobs[kind].revision}`
        ok(!memory.stored.has(revision), `${name} once a revision`)
        memory.stored.add(revision)
        same((payload as { revision?: number }).revision ?? 1, jobs[kind].revision)
      }
    }
  }
  ok(memory.failures <= 1, 'chapter_failed once a run')
  ok(status !== 'failed' || memory.failures === 1)
  same(memory.allCompleted, status === 'completed' ? 1 : 0, 'all_completed once a run')
}

/** What holds in every state. */
function checkState(state: ChapterState): void {
  const jobs = jobsOf(state)
  ok(state.progress >= 0 && state.progress <= 100)
  same(state.status === 'processing', jobs.some(isRunning), 'a chapter is processing while a job runs')
  same(
    state.status === 'completed',
    jobs.every(({ status }) => status === 'completed') && state.progress === 100,
  )
  same(state.completedAt !== null, state.status === 'completed')
  if (state.status === 'failed') ok(jobs.some(({ status }) => status === 'failed'))
  if (state.latestProgress !== null) {
    same(isProgress(state.latestProgress), [])
    same(state.latestProgress.progress, state.progress, 'the latest update says how far the chapter is')
  }
  for (const job of jobs) {
    ok(job.attempt >= 1 && job.attempt <= job.maxAttempts)
    ok(job.progress >= 0 && job.progress <= 100)
    same(job.deadlineAt !== null, job.status === 'published', 'a deadline is a published job’s')
    ok(job.status !== 'cancelled' || state.status === 'cancelled')
    if (job.status === 'completed') same(job.progress, 100)
    if (job.status === 'completed' && !isKept(job)) same([job.reason, job.error], [null, null])
    if (isKept(job)) ok(job.reason !== null)
    if (job.keptRevision !== null) ok(job.keptRevision < job.revision && job.status !== 'failed')
    if (job.status === 'failed') ok(job.reason !== null)
    if (job.startedAt === null) ok(job.lastHeardAt === null)
    ok(job.status !== 'queued' || job.lastHeardAt === null)
  }
}
