/**
 * -start, -fail and progress: what workers say about the attempt they are at, and whom it is believed for.
 */
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { promptOf } from '../../src/generator/prompt.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, FINISH_BODIES, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { recordingQueue } from '../support/recording-queue.js'
import { eventNamesOf, eventsOf, finishAll, untilPublished, viewChapter, viewJob } from '../support/views.js'

const clock = testClock()
const queue = recordingQueue()
const env = {
  GENERATION_TIMEOUT_MS: '600000',
  GENERATION_QUEUE_TIMEOUT_MS: '1800000',
  GENERATION_HEARTBEAT_MS: '120000',
}
const { url } = await buildTestApp(t, env, { now: clock.now, random: () => 0.5, queue })
const UUID = '5f0c9d8e-2f43-4c4e-8c6e-0a1b2c3d4e5f'
const MINUTE_MS = 60_000
const inMinutes = (n: number) => new Date(clock.now() + n * MINUTE_MS).toISOString()

const call = async (id: number, path: string, body: object) =>
  (await post(`${url}/v1/chapter/${id}/${path}`, body)).body
/** A chapter whose three messages are out. */
async function published(): Promise<number> {
  const id = await createChapter(url)
  await untilPublished(url, id)
  return id
}
const letterOf = (id: number) =>
  waitFor('its dead letter', () => queue.letters.find(({ chapter_id }) => chapter_id === id))
const workOf = async (id: number, kind: 'concept' | 'exercise' | 'quiz') => {
  const { job_id, attempt } = await viewJob(url, id, kind)
  return { job_id, attempt }
}

t.test('a start is allowed once, logged once, and its deadline counts from then', async (t) => {
  const id = await published()
  t.equal(
    (await viewJob(url, id, 'concept')).deadline_at,
    inMinutes(30),
    'from publishing, the queue’s patience',
  )
  clock.advance(MINUTE_MS)
  const work = await workOf(id, 'concept')
  t.same(await call(id, 'concept-start', work), {
    run: true,
    deadline_at: (await viewJob(url, id, 'concept')).deadline_at,
  })
  t.same(await call(id, 'concept-start', work), { run: false, reason: 'running' })
  t.match(await eventsOf(url, id, 4), [{ event: 'concept_started', status: 'started', attempt: 1 }])
})

t.test('a start tells the deadline that holds, also when the queue had more patience', async (t) => {
  const id = await published()
  t.match(await call(id, 'concept-start', await workOf(id, 'concept')), {
    run: true,
    deadline_at: inMinutes(10),
  })
  t.equal((await viewJob(url, id, 'concept')).deadline_at, inMinutes(10))
})

t.test('after a silence as long as the heartbeat, the same attempt may be run again', async (t) => {
  const id = await published()
  const work = await workOf(id, 'quiz')
  await call(id, 'quiz-start', work)
  clock.advance(119_999)
  t.match(await call(id, 'quiz-start', work), { run: false, reason: 'running' })
  await call(id, 'progress', { progress: 1, message: 'x', kind: 'quiz', ...work })
  clock.advance(119_999)
  t.match(await call(id, 'quiz-start', work), { run: false, reason: 'running' }, 'progress is a sign of life')
  clock.advance(1)
  t.match(await call(id, 'quiz-start', work), { run: true })
  t.same(await eventNamesOf(url, id, 4), ['quiz_started'], 'the attempt began once')
})

t.test('a start of work that is over, or not current, is answered with the reason', async (t) => {
  const id = await published()
  const work = await workOf(id, 'concept')
  for (const other of [
    { ...work, attempt: 2 },
    { ...work, job_id: UUID },
  ])
    t.same(await call(id, 'concept-start', other), { run: false, reason: 'superseded' })
  t.same(await call(id, 'exercise-start', work), { run: false, reason: 'superseded' }, 'of another kind')
  await finish(url, id, 'concept')
  t.same(await call(id, 'concept-start', work), { run: false, reason: 'completed' })
  const quiz = await workOf(id, 'quiz')
  await call(id, 'quiz-fail', { error: 'x', ...quiz })
  t.same(
    await call(id, 'quiz-start', quiz),
    { run: false, reason: 'superseded' },
    'that attempt was given up',
  )
  await post(`${url}/v1/chapter/${id}/cancel`)
  t.same(await call(id, 'quiz-start', quiz), { run: false, reason: 'cancelled' })
  t.same(await call(id, 'concept-start', work), { run: false, reason: 'cancelled' })
})

t.test(
  'a view tells when a job was asked for, when its attempt began, and when its worker was last heard',
  async (t) => {
    const requested_at = inMinutes(0)
    const id = await published()
    t.match(await viewJob(url, id, 'exercise'), { requested_at, started_at: null, last_heard_at: null })
    clock.advance(MINUTE_MS)
    const started_at = inMinutes(0)
    const work = await workOf(id, 'exercise')
    await call(id, 'exercise-start', work)
    t.match(await viewJob(url, id, 'exercise'), { requested_at, started_at, last_heard_at: started_at })
    clock.advance(MINUTE_MS)
    await call(id, 'progress', { progress: 1, message: 'x', kind: 'exercise', ...work })
    t.match(await viewJob(url, id, 'exercise'), { requested_at, started_at, last_heard_at: inMinutes(0) })
    await call(id, 'exercise-fail', { error: 'x', ...work })
    t.match(await viewJob(url, id, 'exercise'), {
      attempt: 2,
      requested_at,
      started_at: null,
      last_heard_at: null,
    })
  },
)

t.test('a failure schedules the next attempt after a jittered wait, and says why', async (t) => {
  const id = await published()
  const work = await workOf(id, 'concept')
  const body = { error: 'out of memory', reason: 'model_error', ...work }
  t.match(await call(id, 'concept-fail', body), { status: 'success', chapter_id: id })
  const retry_at = new Date(clock.now() + 2500).toISOString()
  t.match(await eventsOf(url, id, 4), [
    {
      event: 'concept_retrying',
      attempt: 2,
      max_attempts: 3,
      retry_at,
      reason: 'model_error',
      error: body.error,
    },
  ])
  t.match(await viewJob(url, id, 'concept'), {
    ...work,
    attempt: 2,
    status: 'queued',
    deadline_at: null,
    error: { reason: 'model_error', message: body.error },
  })
  t.match(
    await call(id, 'concept-fail', body),
    { status: 'ignored' },
    'the same failure again is of an older attempt',
  )
  t.equal(queue.of(id, 'concept').length, 1, 'not before its time')
  clock.advance(2500)
  await untilPublished(url, id, ['concept'])
  t.match(queue.of(id, 'concept'), [{ attempt: 1 }, { ...work, attempt: 2, deadline_at: inMinutes(30) }])
  t.match(await call(id, 'concept-fail', { error: 'x', attempt: 2 }), { status: 'success' })
  t.match((await eventsOf(url, id, 5))[0], {
    attempt: 3,
    reason: 'model_error',
    retry_at: new Date(clock.now() + 5000).toISOString(),
  })
})

t.test('a busy model is waited for: the same attempt goes out again under a new job id', async (t) => {
  const id = await published()
  const work = await workOf(id, 'concept')
  const body = { error: '429 Too Many Requests', reason: 'rate_limited', retry_after_s: 20, ...work }
  t.match(await call(id, 'concept-fail', body), { status: 'success' })
  const waitMs = 20_000 + 7_500
  const retry_at = new Date(clock.now() + waitMs).toISOString()
  t.match(await eventsOf(url, id, 4), [
    {
      event: 'concept_retrying',
      attempt: 1,
      max_attempts: 3,
      retry_at,
      reason: 'rate_limited',
      error: body.error,
    },
  ])
  const error = { reason: 'rate_limited', message: body.error }
  t.match(await viewJob(url, id, 'concept'), { status: 'queued', attempt: 1, error })
  t.match(await call(id, 'concept-start', work), { run: false, reason: 'superseded' })
  clock.advance(waitMs - 1)
  t.equal(queue.of(id, 'concept').length, 1, 'not before its time')
  clock.advance(1)
  await untilPublished(url, id, ['concept'])
  const [first, second] = queue.of(id, 'concept')
  t.match(second, { attempt: 1, max_attempts: 3, previous: null, requested_at: first?.requested_at })
  t.not(second?.job_id, first?.job_id)
  t.ok(second?.callback.finish_url.endsWith(`?job_id=${second.job_id}&attempt=1`))
  t.match(
    await finish(url, id, 'concept', work),
    { body: { status: 'success' } },
    'the first try was late, no more',
  )
})

t.test('retry_after_s is the least wait', async (t) => {
  const id = await published()
  await call(id, 'quiz-fail', { error: 'x', retry_after_s: 90, attempt: 1 })
  await call(id, 'concept-fail', { error: 'x', retry_after_s: 1, attempt: 1 })
  const [quiz, concept] = await eventsOf(url, id, 4)
  t.equal(quiz?.retry_at, new Date(clock.now() + 90_000).toISOString())
  t.equal(concept?.retry_at, new Date(clock.now() + 2500).toISOString(), 'the backoff was longer')
})

t.test(
  'a failure that is not retryable is final: dead letter, and the chapter fails with its last job',
  async (t) => {
    const id = await published()
    const work = await workOf(id, 'quiz')
    await call(id, 'quiz-fail', { error: 'against the rules', reason: 'refused', retryable: false, ...work })
    t.match(await viewJob(url, id, 'quiz'), { status: 'failed', attempt: 1, error: { reason: 'refused' } })
    t.match(await viewChapter(url, id), { status: 'processing' }, 'the others still run')
    await finishAll(url, id, ['concept', 'exercise'])
    t.match(
      (await eventsOf(url, id, 4)).filter(({ event }) => /failed/.test(event)),
      [
        { event: 'quiz_failed', status: 'failed', attempt: 1, reason: 'refused', error: 'against the rules' },
        { event: 'chapter_failed', status: 'failed', failed: ['quiz'] },
      ],
    )
    t.match(await viewChapter(url, id), { status: 'failed', completed_at: null })
    await t.resolveMatch(letterOf(id), {
      ...work,
      kind: 'quiz',
      chapter_id: id,
      reason: 'refused',
      error: 'against the rules',
      failed_at: /Z$/,
      max_attempts: 3,
      callback: { finish_url: `http://localhost:${new URL(url).port}/v1/chapter/${id}/quiz-finish` },
    })
  },
)

t.test('a failure without a name counts for a published job only', async (t) => {
  const id = await published()
  t.match(await call(id, 'quiz-fail', { error: 'x' }), { status: 'success' })
  t.match(await viewJob(url, id, 'quiz'), { status: 'queued', attempt: 2 })
  t.match(
    await call(id, 'quiz-fail', { error: 'x' }),
    { status: 'ignored' },
    'the next attempt is not out yet',
  )
  t.match(await viewJob(url, id, 'quiz'), { status: 'queued', attempt: 2 })
  await finish(url, id, 'concept')
  t.match(await call(id, 'concept-fail', { error: 'x' }), { status: 'ignored' })
})

t.test('a failure or progress that names another attempt or job is ignored', async (t) => {
  const id = await published()
  for (const other of [{ attempt: 2 }, { job_id: UUID }, { job_id: UUID, attempt: 1 }])
    for (const kind of JOB_KINDS) {
      t.match(await call(id, `${kind}-fail`, { error: 'x', ...other }), { status: 'ignored' })
      t.match(await call(id, 'progress', { progress: 9, message: 'x', kind, ...other }), {
        status: 'ignored',
      })
    }
  t.match(await call(id, 'progress', { progress: 9, message: 'x', job_id: UUID }), { status: 'ignored' })
  t.match(await viewChapter(url, id), { last_seq: 4, progress: 0 })
})

t.test(
  'progress with a kind is that job’s: it starts it, renews its deadline, and moves the chapter',
  async (t) => {
    const id = await published()
    const before = await viewChapter(url, id)
    clock.advance(25 * MINUTE_MS)
    t.match(await call(id, 'progress', { progress: 60, message: '반', kind: 'concept' }), {
      status: 'success',
      cancelled: undefined,
    })
    t.match(await viewJob(url, id, 'concept'), { progress: 60, deadline_at: inMinutes(10) })
    t.equal(
      (await viewJob(url, id, 'quiz')).deadline_at,
      before.jobs[2]?.deadline_at,
      'the others keep theirs',
    )
    t.equal((await viewChapter(url, id)).progress, 20)
    t.match(await eventsOf(url, id, 4), [{ event: 'concept_started', attempt: 1 }])
    await call(id, 'progress', { progress: 30, message: 'back', kind: 'concept' })
    t.match(await viewChapter(url, id), { progress: 20, jobs: [{ progress: 60 }] }, 'it never goes back')
  },
)

t.test('progress without a kind is the chapter’s, and renews every deadline', async (t) => {
  const id = await published()
  clock.advance(25 * MINUTE_MS)
  t.match(await call(id, 'progress', { progress: 42.5, message: 'x' }), { status: 'success' })
  const { progress, jobs, last_seq } = await viewChapter(url, id)
  t.same([progress, last_seq], [42.5, 4])
  t.same(
    jobs.map(({ deadline_at }) => deadline_at),
    Array(3).fill(inMinutes(10)),
  )
  await finish(url, id, 'concept')
  t.equal((await viewChapter(url, id)).progress, 42.5, 'the highest so far of both')
})

t.test('progress says when going on is useless', async (t) => {
  const done = await published()
  await finish(url, done, 'concept')
  const report = { progress: 50, message: 'x' }
  t.match(await call(done, 'progress', { ...report, kind: 'concept', attempt: 1 }), {
    status: 'ignored',
    cancelled: true,
  })
  t.equal((await call(done, 'progress', { ...report, kind: 'quiz', attempt: 1 })).cancelled, undefined)
  await finishAll(url, done, ['exercise', 'quiz'])
  t.match(await call(done, 'progress', report), { status: 'ignored', cancelled: true }, 'completed')
  const cancelled = await published()
  await post(`${url}/v1/chapter/${cancelled}/cancel`)
  t.match(await call(cancelled, 'progress', report), { status: 'ignored', cancelled: true }, 'cancelled')
  t.equal((await viewChapter(url, cancelled)).progress, 0)
})

t.test(
  'in a chapter that has ended, failures and progress are ignored, also of a late attempt',
  async (t) => {
    const id = await published()
    for (const kind of JOB_KINDS) await call(id, `${kind}-fail`, { error: 'x', retryable: false, attempt: 1 })
    const before = [await viewChapter(url, id), await eventsOf(url, id)]
    t.match(await call(id, 'quiz-fail', { error: 'y', attempt: 1 }), { status: 'ignored' })
    t.match(await call(id, 'progress', { progress: 99, message: 'x' }), { status: 'ignored' })
    t.match(await call(id, 'quiz-start', await workOf(id, 'quiz')), { run: false, reason: 'superseded' })
    t.same([await viewChapter(url, id), await eventsOf(url, id)], before)
  },
)

t.test('a late result of an earlier attempt counts: the first result wins', async (t) => {
  const id = await published()
  const work = await workOf(id, 'concept')
  await call(id, 'concept-fail', { error: 'x', ...work })
  t.match(await call(id, 'concept-finish', { ...FINISH_BODIES.concept, ...work }), { status: 'success' })
  t.match(await viewJob(url, id, 'concept'), { status: 'completed', error: null, deadline_at: null })
  t.match(await call(id, 'concept-finish', { ...FINISH_BODIES.concept, ...work, attempt: 2 }), {
    status: 'duplicate',
  })
})

t.test('an upper-case job id is the same id', async (t) => {
  const id = await published()
  const { job_id } = await workOf(id, 'concept')
  t.match(await call(id, 'concept-start', { job_id: job_id.toUpperCase(), attempt: 1 }), { run: true })
})

t.test(
  'a quiz with too few good questions is asked for again, and the next attempt is told which were bad',
  async (t) => {
    const id = await createChapter(url, { quiz_count: 5 })
    await untilPublished(url, id)
    const good = (n: number) => ({
      question: `Question ${n}?`,
      correct_answer: 'yes',
      options: ['yes', 'no'],
    })
    const quizzes = [
      good(1),
      { ...good(2), correct_answer: 'maybe' },
      good(3),
      { ...good(4), question: '' },
      { ...good(5), options: ['no', 'never'] },
    ]
    const work = await workOf(id, 'quiz')
    const answer = await post(`${url}/v1/chapter/${id}/quiz-finish`, {
      raw: JSON.stringify({ quizzes }),
      ...work,
    })
    t.equal(answer.status, 400)
    clock.advance(2500)
    await untilPublished(url, id, ['quiz'])
    const message = queue.of(id, 'quiz')[1]
    t.match(message, {
      attempt: 2,
      job_id: work.job_id,
      quiz_count: 5,
      previous: { reason: 'invalid_result' },
    })
    const told = message?.previous?.error ?? ''
    t.match(told, /\/body\/quizzes has 2 good questions; 5 were asked for, and at least 3 are needed$/)
    for (const bad of [
      /quizzes\/1\/correct_answer .*maybe/,
      /quizzes\/3\/question/,
      /quizzes\/4\/correct_answer/,
    ])
      t.match(told, bad)
    if (message !== undefined) t.match(promptOf(message).user, 'has 2 good questions; 5 were asked for')
    t.match(await finish(url, id, 'quiz'), { body: { status: 'success' } })
  },
)

t.test('however many questions were bad, the next attempt is told how many were good', async (t) => {
  const id = await createChapter(url, { quiz_count: 20 })
  await untilPublished(url, id)
  const bad = { question: 'Which?', correct_answer: 'x'.repeat(200), options: ['yes', 'no'] }
  const good = { ...bad, correct_answer: 'no' }
  const quizzes = [...Array.from({ length: 40 }, () => bad), good]
  t.equal((await post(`${url}/v1/chapter/${id}/quiz-finish`, { quizzes, attempt: 1 })).status, 400)
  const { error } = await viewJob(url, id, 'quiz')
  t.match(error, {
    reason: 'invalid_result',
    message: /^\/body\/quizzes\/0\/.* has 1 good questions; 20 were asked/,
  })
})
