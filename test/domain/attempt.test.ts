import t from 'tap'
import { backoffMs, busyWaitMs } from '../../src/async/backoff.js'
import type { ChapterState } from '../../src/domain/chapter.js'
import {
  at,
  COMPLETED,
  chapterWith,
  decideOn,
  expireOf,
  FAILED,
  failOf,
  finishOf,
  holdExpiredOf,
  MINUTE_MS,
  markedPublished,
  NOON,
  namesOf,
  POLICY,
  payloadOf,
  progressOf,
  QUEUED,
  STARTED,
  startOf,
  workOf,
} from '../support/chapters.js'

const { timeoutMs, queueTimeoutMs, heartbeatMs, retryBaseMs, retryMaxMs } = POLICY
const instant = (ms: number) => new Date(ms).toISOString()
const deadlineOf = (state: ChapterState) => state.jobs.concept.deadlineAt

t.test('the first attempt waits for nothing', async (t) => {
  t.equal(
    backoffMs(1, POLICY, () => 0.999),
    0,
  )
  t.equal(
    backoffMs(0, POLICY, () => 0.999),
    0,
  )
})

t.test('the wait before an attempt is anywhere below a cap that doubles up to a last one', async (t) => {
  const caps = [2, 3, 4, 5, 6, 7, 100].map((n) => [
    backoffMs(n, POLICY, () => 0),
    backoffMs(n, POLICY, () => 0.5),
    backoffMs(n, POLICY, () => 1 - Number.EPSILON),
  ])
  const expected = [5000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]
  t.same(
    caps,
    expected.map((cap) => [0, cap / 2, cap - 1]),
  )
  t.equal(
    backoffMs(2, { retryBaseMs: 5000, retryMaxMs: 100 }, () => 0.5),
    50,
    'the last cap is the last word',
  )
  t.equal(
    backoffMs(2, { retryBaseMs: 0, retryMaxMs: 100 }, () => 0.5),
    0,
  )
})

t.test('a failed attempt is followed by the next one, whose number rises at once', async (t) => {
  const state = chapterWith({ concept: { ...STARTED, progress: 30 } })
  const context = at(NOON + MINUTE_MS, { random: () => 0.5 })
  const decision = decideOn(state, failOf('concept', { reason: 'model_error', error: '500' }), context)
  const retryAt = NOON + MINUTE_MS + retryBaseMs / 2
  t.match(payloadOf(decision, 'concept_retrying'), {
    status: 'retrying',
    attempt: 2,
    max_attempts: 3,
    retry_at: instant(retryAt),
    reason: 'model_error',
    error: '500',
  })
  t.match(decision.state.jobs.concept, {
    status: 'queued',
    attempt: 2,
    jobId: state.jobs.concept.jobId,
    dueAt: retryAt,
    deadlineAt: null,
    startedAt: null,
    lastHeardAt: null,
    progress: 0,
    reason: 'model_error',
    error: '500',
  })
  t.same(decision.deadLetters, [])
})

const { patienceMs } = POLICY
const busyOf = (changes: object = {}) =>
  failOf('concept', { reason: 'rate_limited', error: '429', ...changes })

t.test('a busy model costs no attempt while the job is young, not even the last one', async (t) => {
  for (const reason of ['rate_limited', 'unavailable'] as const)
    for (const attempt of [1, 2, 3]) {
      const state = chapterWith({ concept: { ...STARTED, attempt, progress: 30 } })
      const now = NOON + patienceMs - 1
      const decision = decideOn(state, busyOf({ reason, named: workOf(state, 'concept') }), at(now))
      t.same(namesOf(decision), ['concept_retrying'])
      const retry_at = instant(now + 15_000)
      t.match(payloadOf(decision, 'concept_retrying'), {
        attempt,
        max_attempts: 3,
        retry_at,
        reason,
        error: '429',
      })
      t.match(decision.state.jobs.concept, { status: 'queued', attempt, progress: 0, startedAt: null })
      t.not(decision.state.jobs.concept.jobId, state.jobs.concept.jobId, 'the next try has a name of its own')
      t.same(decision.deadLetters, [])
    }
})

t.test('a job that grew older than the patience pays for a busy model with attempts', async (t) => {
  const now = NOON + patienceMs
  const state = chapterWith({ concept: STARTED })
  const decision = decideOn(state, busyOf(), at(now))
  t.match(payloadOf(decision, 'concept_retrying'), { attempt: 2, retry_at: instant(now + 15_000) })
  t.equal(decision.state.jobs.concept.jobId, state.jobs.concept.jobId)
  const last = chapterWith({ concept: { ...STARTED, attempt: 3 } })
  t.same(namesOf(decideOn(last, busyOf(), at(now))), ['concept_failed'])
})

t.test('a retry asked for by a client has patience anew', async (t) => {
  const state = chapterWith({ concept: FAILED })
  const later = NOON + 2 * patienceMs
  const again = decideOn(state, { type: 'retry', chapterId: 1 }, at(later)).state
  const decision = decideOn(again, busyOf({ named: workOf(again, 'concept') }), at(later + 1))
  t.match(payloadOf(decision, 'concept_retrying'), { attempt: 1 })
})

t.test('a busy model that says it will stay so, not retryable, ends the job', async (t) => {
  t.same(namesOf(decideOn(chapterWith(), busyOf({ retryable: false }))), ['concept_failed'])
})

t.test(
  'a busy model is left alone for what it asks, 15 seconds at least, and jitter that grows',
  async (t) => {
    const waitOf = (ageMs: number, retryAfterMs: number, chance: number) => {
      const context = at(NOON + ageMs, { random: () => chance })
      return decideOn(chapterWith(), busyOf({ retryAfterMs }), context).state.jobs.concept.dueAt - context.now
    }
    t.equal(waitOf(0, 0, 0), 15_000)
    t.equal(waitOf(0, 1000, 0), 15_000)
    t.equal(waitOf(0, 40_000, 0), 40_000)
    t.equal(waitOf(0, 3_600_000, 0), 3_600_000)
    t.equal(waitOf(0, 40_000, 0.5), 47_500)
    t.equal(waitOf(80_000, 0, 0.5), 35_000, 'half the age')
    t.equal(waitOf(patienceMs - 1, 0, 0.5), 15_000 + retryMaxMs / 2, 'no more than the last cap')
    t.equal(
      busyWaitMs(-700, 0, POLICY, () => 0.5),
      22_500,
      'a clock that went back',
    )
    t.equal(
      busyWaitMs(0, 0, { retryMaxMs: 0 }, () => 0.5),
      15_000,
    )
  },
)

t.test(
  'the try before is superseded for -start and -fail, and its late result counts all the same',
  async (t) => {
    const before = chapterWith({ concept: STARTED })
    const old = workOf(before, 'concept')
    const { state } = decideOn(before, busyOf({ named: old }), at(NOON + 1))
    const sent = markedPublished(state, ['concept'], NOON + 20_000)
    for (const now of [state, sent]) {
      t.same(decideOn(now, startOf(before, 'concept')).reply, { run: false, reason: 'superseded' })
      t.equal(decideOn(now, busyOf({ named: old })).reply.status, 'ignored')
      t.match(decideOn(now, progressOf(10, { kind: 'concept', named: old })).reply, { status: 'ignored' })
      t.equal(decideOn(now, expireOf(before, 'concept'), at(NOON + timeoutMs)).state, now)
      t.same(namesOf(decideOn(now, finishOf('concept', old))), ['concept_completed'])
    }
    t.match(decideOn(sent, startOf(sent, 'concept')).reply, { run: true })
  },
)

t.test('an attempt that met a busy model is still told what was wrong with the one before', async (t) => {
  const refused = decideOn(
    chapterWith(),
    failOf('concept', { reason: 'invalid_result', error: 'no title' }),
  ).state
  const busy = decideOn(refused, busyOf({ named: workOf(refused, 'concept') })).state
  t.match(busy.jobs.concept, { attempt: 2, reason: 'invalid_result', error: 'no title' })
  const first = decideOn(chapterWith(), busyOf()).state
  t.match(
    first.jobs.concept,
    { attempt: 1, reason: 'rate_limited', error: '429' },
    'and a view tells why it waits',
  )
})

t.test('a worker that asks for time gets at least that, and the backoff when that is longer', async (t) => {
  const waitOf = (retryAfterMs: number) => {
    const context = at(NOON, { random: () => 0.5 })
    return (
      decideOn(chapterWith(), failOf('concept', { retryAfterMs }), context).state.jobs.concept.dueAt - NOON
    )
  }
  t.equal(waitOf(0), retryBaseMs / 2)
  t.equal(waitOf(1000), retryBaseMs / 2)
  t.equal(waitOf(3_600_000), 3_600_000, 'beyond the last cap too')
})

t.test(
  'the last attempt, or one that cannot be repeated, fails the job and owes a dead letter',
  async (t) => {
    for (const [attempt, retryable] of [
      [3, true],
      [3, false],
      [1, false],
    ] as const) {
      const state = chapterWith({ concept: { attempt, ...STARTED } })
      const decision = decideOn(state, failOf('concept', { retryable, error: 'no' }), at(NOON + 1))
      t.same(namesOf(decision), ['concept_failed'])
      t.match(payloadOf(decision, 'concept_failed'), { attempt, reason: 'model_error', error: 'no' })
      const { jobId, requestedAt, deadlineAt } = state.jobs.concept
      const letter = { reason: 'model_error', error: 'no', failedAt: NOON + 1 }
      t.same(decision.deadLetters, [
        { kind: 'concept', jobId, attempt, maxAttempts: 3, revision: 1, requestedAt, deadlineAt, ...letter },
      ])
      t.match(decision.state.jobs.concept, { status: 'failed', attempt, deadlineAt: null, progress: 0 })
    }
  },
)

t.test('an error of any length is kept up to 2000 characters, none of them broken', async (t) => {
  for (const [error, kept] of [
    ['', ''],
    ['x'.repeat(2000), 'x'.repeat(2000)],
    ['x'.repeat(2001), `${'x'.repeat(2000)}…`],
    ['😀'.repeat(2000), '😀'.repeat(2000)],
    [`x${'😀'.repeat(5000)}`, `x${'😀'.repeat(1999)}…`],
  ] as const) {
    const decision = decideOn(chapterWith(), failOf('concept', { error }))
    t.equal(payloadOf(decision, 'concept_retrying').error, kept)
  }
})

t.test('a start that overtakes the mark of the sending has its own deadline', async (t) => {
  const state = chapterWith({ concept: QUEUED })
  const started = decideOn(state, startOf(state, 'concept'), at(NOON + 1)).state
  t.equal(started.jobs.concept.status, 'published')
  t.equal(deadlineOf(started), NOON + 1 + timeoutMs)
})

t.test('from its start an attempt has its own time, not what is left of the queue’s', async (t) => {
  const startedAt = NOON + MINUTE_MS
  for (const command of [startOf(chapterWith(), 'concept'), progressOf(10, { kind: 'concept' })]) {
    const { state, reply } = decideOn(chapterWith(), command, at(startedAt))
    t.equal(deadlineOf(state), startedAt + timeoutMs, command.type)
    if ('run' in reply) t.same(reply, { run: true, deadline_at: instant(startedAt + timeoutMs) })
  }
})

t.test('progress renews a deadline and never shortens it', async (t) => {
  const late = NOON + queueTimeoutMs - MINUTE_MS
  for (const [deadlineAt, now, expected] of [
    [NOON + timeoutMs, NOON + MINUTE_MS, NOON + MINUTE_MS + timeoutMs],
    [NOON + timeoutMs, NOON - MINUTE_MS, NOON + timeoutMs],
    [late, NOON, late],
  ] as const)
    for (const kind of ['concept', undefined] as const) {
      const state = chapterWith({ concept: { ...STARTED, deadlineAt } })
      const decision = decideOn(state, progressOf(10, kind && { kind }), at(now))
      t.equal(deadlineOf(decision.state), expected, String(kind))
    }
})

t.test('progress of the chapter renews every running job, and says of none that it started', async (t) => {
  const state = chapterWith({ concept: QUEUED, exercise: STARTED, quiz: {} })
  const now = NOON + queueTimeoutMs - 1
  const decision = decideOn(state, progressOf(10), at(now))
  t.same(decision.events, [])
  const { concept, exercise, quiz } = decision.state.jobs
  t.same([concept.deadlineAt, exercise.deadlineAt, quiz.deadlineAt], [null, now + timeoutMs, now + timeoutMs])
  t.equal(concept, state.jobs.concept)
  t.equal(quiz.startedAt, null)
})

t.test('a redelivered message is not run while its worker gives signs of life', async (t) => {
  const state = chapterWith({ concept: STARTED })
  const again = startOf(state, 'concept')
  const running = decideOn(state, again, at(NOON + heartbeatMs - 1))
  t.same(running.reply, { run: false, reason: 'running' })
  t.equal(running.state, state)

  const silent = decideOn(state, again, at(NOON + heartbeatMs))
  const deadlineAt = NOON + heartbeatMs + timeoutMs
  t.same(silent.reply, { run: true, deadline_at: instant(deadlineAt) })
  t.equal(deadlineOf(silent.state), deadlineAt)
  t.same(silent.events, [], 'its start was told already')
  t.equal(decideOn(silent.state, again, at(NOON + heartbeatMs + 1)).reply.reason, 'running')
})

t.test('progress is a sign of life, whether of the job or of the chapter', async (t) => {
  const state = chapterWith({ concept: STARTED })
  for (const kind of ['concept', undefined] as const) {
    const later = decideOn(state, progressOf(10, kind && { kind }), at(NOON + MINUTE_MS)).state
    const start = (now: number) => decideOn(later, startOf(later, 'concept'), at(now)).reply.run
    t.equal(start(NOON + MINUTE_MS + heartbeatMs - 1), false)
    t.equal(start(NOON + MINUTE_MS + heartbeatMs), true)
  }
})

t.test('progress of the chapter starts no job: its message is still run', async (t) => {
  const { state } = decideOn(chapterWith(), progressOf(10), at(NOON + 1))
  t.equal(decideOn(state, startOf(state, 'concept'), at(NOON + 2)).reply.run, true)
})

t.test('work that died with its process is sent again, same attempt, and may run at once', async (t) => {
  const state = chapterWith({ concept: { ...STARTED, attempt: 2, progress: 30 } })
  const requeued = decideOn(state, holdExpiredOf(state, 'concept'), at(NOON + 1))
  t.same(requeued.events, [])
  t.match(requeued.state.jobs.concept, { status: 'queued', attempt: 2, dueAt: NOON + 1, deadlineAt: null })
  t.same(workOf(requeued.state, 'concept'), workOf(state, 'concept'))

  const sent = markedPublished(requeued.state, ['concept'], NOON + 2)
  // Another job’s worker speaks for the chapter: that is no sign of life of this one.
  const spoken = decideOn(sent, progressOf(40), at(NOON + 3)).state
  const started = decideOn(spoken, startOf(spoken, 'concept'), at(NOON + 4))
  t.same(started.reply, { run: true, deadline_at: instant(NOON + 4 + timeoutMs) })
  t.equal(deadlineOf(started.state), NOON + 4 + timeoutMs)
  t.same(started.events, [], 'the attempt’s start was told before')
})

t.test(
  'work that its node gives back waits for its time under the same name, and costs nothing',
  async (t) => {
    const state = chapterWith({ concept: { attempt: 2 } })
    const later = { ...holdExpiredOf(state, 'concept'), dueAt: NOON + 30_000 }
    const { state: after, events } = decideOn(state, later, at(NOON + 1))
    t.same(events, [])
    t.match(after.jobs.concept, { status: 'queued', attempt: 2, dueAt: NOON + 30_000, deadlineAt: null })
    t.same(workOf(after, 'concept'), workOf(state, 'concept'))
    t.equal(decideOn(after, startOf(after, 'concept'), at(NOON + 2)).reply.run, true, 'a late start counts')
  },
)

t.test('each attempt tells its start once, by whichever sign comes first', async (t) => {
  let state = chapterWith()
  const named = () => workOf(state, 'concept')
  const tell = (command: Parameters<typeof decideOn>[1], now: number) => {
    const decision = decideOn(state, command, at(now))
    state = decision.state
    return namesOf(decision)
  }
  t.same(tell(startOf(state, 'concept'), NOON), ['concept_started'])
  t.same(tell(progressOf(10, { kind: 'concept', named: named() }), NOON + 1), [])
  t.same(tell(startOf(state, 'concept'), NOON + heartbeatMs + 1), [])
  t.same(tell(failOf('concept'), NOON + heartbeatMs + 2), ['concept_retrying'])
  t.same(tell(progressOf(10, { kind: 'concept' }), NOON + heartbeatMs + 3), [], 'nobody knows whose it is')
  t.same(tell(progressOf(10, { kind: 'concept', named: named() }), NOON + heartbeatMs + 4), [
    'concept_started',
  ])
})

t.test('an attempt times out at its deadline and not before', async (t) => {
  const state = chapterWith({ concept: STARTED })
  const expire = expireOf(state, 'concept')
  t.equal(decideOn(state, expire, at(NOON + timeoutMs - 1)).state, state)
  const decision = decideOn(state, expire, at(NOON + timeoutMs))
  t.same(namesOf(decision), ['concept_timeout', 'concept_retrying'])
  t.match(payloadOf(decision, 'concept_timeout'), { status: 'timeout', attempt: 1, max_attempts: 3 })
  const retrying = payloadOf(decision, 'concept_retrying')
  t.match(retrying, { attempt: 2, reason: 'timeout' })
  t.notOk('error' in retrying, 'a timeout has no error of a worker’s')
})

t.test('the last attempt that times out fails the job', async (t) => {
  const state = chapterWith({ concept: { ...STARTED, attempt: 3 }, exercise: COMPLETED, quiz: FAILED })
  const decision = decideOn(state, expireOf(state, 'concept'), at(NOON + timeoutMs))
  t.same(namesOf(decision), ['concept_timeout', 'concept_failed', 'chapter_failed'])
  t.match(decision.deadLetters, [{ reason: 'timeout', error: null, deadlineAt: NOON + timeoutMs }])
})

t.test('a deadline that was renewed before its timeout is decided holds', async (t) => {
  const state = chapterWith({ concept: STARTED })
  const renewed = decideOn(state, progressOf(50, { kind: 'concept' }), at(NOON + timeoutMs - 1)).state
  t.equal(decideOn(renewed, expireOf(state, 'concept'), at(NOON + timeoutMs)).state, renewed)
})

t.test('the first result wins, over the next attempt too', async (t) => {
  const state = chapterWith({ concept: { ...STARTED, attempt: 1 } })
  const retrying = decideOn(state, failOf('concept')).state
  const late = decideOn(retrying, finishOf('concept', workOf(state, 'concept')))
  t.same([late.reply.status, namesOf(late)], ['success', ['concept_completed']])
  const next = decideOn(late.state, finishOf('concept', workOf(retrying, 'concept')))
  t.equal(next.reply.status, 'duplicate')
  t.same(next.results, [])
  t.equal(
    decideOn(late.state, startOf(retrying, 'concept')).reply.reason,
    'completed',
    'nobody need work on it',
  )
})

t.test('the waits of a policy stay below its last cap', async (t) => {
  for (let n = 2; n < 100; n += 1) t.ok(backoffMs(n, POLICY, () => 0.999) < retryMaxMs)
})
