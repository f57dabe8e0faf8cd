/**
 * Time is ours: an attempt that is not answered is tried again, and given up in the end, whatever its worker does.
 */
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { buildTestApp, testClock } from '../support/app.js'
import { connectSocket, createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { recordingQueue } from '../support/recording-queue.js'
import { eventNamesOf, eventsOf, finishAll, untilPublished, viewChapter, viewJob } from '../support/views.js'

const TIMEOUT_MS = 60_000
/** Half of the first and the second cap, for chance is always one half here. */
const WAITS_MS = [500, 1000]

async function build(t: Test, env: Record<string, string> = {}) {
  const clock = testClock()
  const queue = recordingQueue()
  const policy = { GENERATION_TIMEOUT_MS: String(TIMEOUT_MS), GENERATION_RETRY_BASE_MS: '1000', ...env }
  const { url } = await buildTestApp(t, policy, { now: clock.now, random: () => 0.5, queue })
  const inMs = (ms: number) => new Date(clock.now() + ms).toISOString()
  /** Waits until the sweeper has seen what the clock brought about. */
  const hears = (id: number, name: string, count = 1) =>
    waitFor(`${name} ${count} times`, async () => {
      const names = await eventNamesOf(url, id)
      return names.filter((other) => other === name).length >= count
    })
  return { clock, queue, url, inMs, hears }
}

t.test(
  'a job nobody answers times out, is tried again, and fails when its attempts are used up',
  async (t) => {
    const { clock, queue, url, inMs, hears } = await build(t)
    const id = await createChapter(url)
    const socket = await connectSocket(t, url)
    await socket.ask('join_chapter', { chapter_id: id })
    await untilPublished(url, id)
    const { job_id } = await viewJob(url, id, 'quiz')
    await finishAll(url, id, ['concept', 'exercise'])
    t.equal(await viewJob(url, id, 'quiz').then(({ deadline_at }) => deadline_at), inMs(TIMEOUT_MS))

    for (const [i, waitMs] of WAITS_MS.entries()) {
      const attempt = i + 1
      clock.advance(TIMEOUT_MS)
      await hears(id, 'quiz_retrying', attempt)
      t.match((await eventsOf(url, id)).slice(-2), [
        { event: 'quiz_timeout', status: 'timeout', attempt, max_attempts: 3, message: /\S/, at: inMs(0) },
        {
          event: 'quiz_retrying',
          status: 'retrying',
          attempt: attempt + 1,
          max_attempts: 3,
          reason: 'timeout',
          retry_at: inMs(waitMs),
        },
      ])
      t.match(await viewJob(url, id, 'quiz'), { status: 'queued', attempt: attempt + 1, deadline_at: null })
      t.equal(queue.of(id, 'quiz').length, attempt, 'it is not sent before its time')
      clock.advance(waitMs)
      await untilPublished(url, id, ['quiz'])
      t.match(queue.of(id, 'quiz')[attempt], {
        job_id,
        attempt: attempt + 1,
        max_attempts: 3,
        deadline_at: inMs(TIMEOUT_MS),
      })
    }
    clock.advance(TIMEOUT_MS)
    const failed = await socket.hears('chapter_failed')
    t.match(failed, { chapter_id: id, status: 'failed', failed: ['quiz'] })

    t.same(socket.logged(id).slice(6), [
      ...['quiz_timeout', 'quiz_retrying', 'quiz_timeout', 'quiz_retrying', 'quiz_timeout', 'quiz_failed'],
      'chapter_failed',
    ])
    t.match(await viewJob(url, id, 'quiz'), {
      status: 'failed',
      attempt: 3,
      error: { reason: 'timeout', message: null },
    })
    t.match(await viewChapter(url, id), { status: 'failed', progress: 66 })
    const letter = await waitFor('the dead letter', () => queue.letters[0])
    t.match(letter, { job_id, kind: 'quiz', attempt: 3, reason: 'timeout', error: null, failed_at: inMs(0) })
    t.equal(queue.letters.length, 1)
    t.equal(queue.of(id, 'quiz').length, 3)

    // A marker: whatever else these deadlines would bring about comes before another chapter’s time-outs.
    const marker = await createChapter(url)
    await untilPublished(url, marker)
    clock.advance(10 * TIMEOUT_MS)
    await hears(marker, 'quiz_timeout')
    t.equal((await eventNamesOf(url, id)).at(-1), 'chapter_failed', 'a chapter that has failed is left alone')
  },
)

t.test('a retry after the failure runs under a new id and completes the chapter once', async (t) => {
  const { clock, queue, url, hears } = await build(t, { GENERATION_MAX_ATTEMPTS: '1' })
  const id = await createChapter(url)
  const socket = await connectSocket(t, url)
  await socket.ask('join_chapter', { chapter_id: id })
  await untilPublished(url, id)
  await finish(url, id, 'concept')
  clock.advance(TIMEOUT_MS)
  await hears(id, 'chapter_failed')
  t.match((await eventsOf(url, id)).at(-1), { event: 'chapter_failed', failed: ['exercise', 'quiz'] })
  const before = await viewChapter(url, id)

  t.equal((await post(`${url}/v1/chapter/${id}/retry`)).status, 202)
  await untilPublished(url, id, ['exercise', 'quiz'])
  for (const i of [1, 2]) {
    const kind = JOB_KINDS[i] as 'exercise' | 'quiz'
    const [first, second, ...more] = queue.of(id, kind)
    t.equal(first?.job_id, before.jobs[i]?.job_id)
    t.not(second?.job_id, first?.job_id)
    t.match(second, { attempt: 1, max_attempts: 1 })
    t.same(more, [])
  }
  t.equal(queue.of(id, 'concept').length, 1)
  await finishAll(url, id, ['exercise', 'quiz'])
  await socket.hears('all_completed')
  t.same(await eventNamesOf(url, id, before.last_seq), [
    'chapter_retrying',
    'exercise_completed',
    'quiz_completed',
    'all_completed',
  ])
  t.same(
    socket.heard.flatMap(({ payload }) => payload.seq ?? []),
    (await eventsOf(url, id)).map(({ seq }) => seq),
  )
  t.match(await viewChapter(url, id), { status: 'completed', progress: 100 })
})

t.test(
  'a result that comes after the chapter failed continues it, and completes it in the end',
  async (t) => {
    const { clock, url, hears } = await build(t, { GENERATION_MAX_ATTEMPTS: '1' })
    const id = await createChapter(url)
    await untilPublished(url, id)
    clock.advance(TIMEOUT_MS)
    await hears(id, 'chapter_failed')
    for (const kind of JOB_KINDS) t.match((await finish(url, id, kind)).body, { status: 'success' })
    const names = (await eventNamesOf(url, id)).slice(-5)
    t.same(names, [
      'chapter_failed',
      'concept_completed',
      'exercise_completed',
      'quiz_completed',
      'all_completed',
    ])
    t.match(await viewChapter(url, id), { status: 'completed', progress: 100, completed_at: /Z$/ })
  },
)

t.test('progress renews the deadline: work that goes on is not given up', async (t) => {
  const { clock, url, hears } = await build(t)
  const id = await createChapter(url)
  await untilPublished(url, id)
  for (const progress of [10, 20, 30, 40]) {
    clock.advance(TIMEOUT_MS - 1)
    await post(`${url}/v1/chapter/${id}/progress`, { progress, message: 'x', kind: 'concept', attempt: 1 })
  }
  await hears(id, 'quiz_timeout')
  t.same(
    (await eventNamesOf(url, id)).filter((name) => name.startsWith('concept')),
    ['concept_processing', 'concept_started'],
  )
  clock.advance(TIMEOUT_MS)
  await hears(id, 'concept_timeout')
})

t.test(
  'a job may wait in a queue longer than an attempt may last: the attempt’s deadline counts from -start',
  async (t) => {
    const { clock, url, hears, inMs } = await build(t, {
      GENERATION_QUEUE_TIMEOUT_MS: String(10 * TIMEOUT_MS),
    })
    const id = await createChapter(url)
    await untilPublished(url, id)
    const work = ({ job_id }: { job_id: string }) => ({ job_id, attempt: 1 })
    clock.advance(5 * TIMEOUT_MS)
    const started = await post(`${url}/v1/chapter/${id}/quiz-start`, work(await viewJob(url, id, 'quiz')))
    t.same(started.body, { run: true, deadline_at: inMs(TIMEOUT_MS) })
    clock.advance(TIMEOUT_MS)
    await hears(id, 'quiz_timeout')
    t.same(
      await eventNamesOf(url, id, 4),
      ['quiz_started', 'quiz_timeout', 'quiz_retrying'],
      'the others wait on',
    )
    clock.advance(4 * TIMEOUT_MS)
    await hears(id, 'concept_timeout')
    await hears(id, 'exercise_timeout')
  },
)

t.test('what is cancelled in the middle is neither timed out, nor tried again, nor sent', async (t) => {
  const { clock, queue, url, hears } = await build(t)
  const id = await createChapter(url)
  await untilPublished(url, id)
  await finish(url, id, 'concept')
  await post(`${url}/v1/chapter/${id}/exercise-fail`, { error: 'x', attempt: 1 })
  t.equal((await post(`${url}/v1/chapter/${id}/cancel`)).status, 202)
  const { last_seq } = await viewChapter(url, id)
  const marker = await createChapter(url)
  await untilPublished(url, marker)
  clock.advance(2 * TIMEOUT_MS)
  await hears(marker, 'quiz_retrying')
  t.same(await eventNamesOf(url, id, last_seq), [])
  t.equal(queue.messages.filter(({ chapter_id }) => chapter_id === id).length, 3)
  t.equal(queue.letters.length, 0)
})

t.test('a message holds what a worker needs', async (t) => {
  const { queue, url, inMs } = await build(t, { PUBLIC_URL: 'https://chapters.example/base/' })
  const metadata = { prompt: '쉽게' }
  const id = await createChapter(url, { owner_id: 7, course_id: 8, locale: 'en', quiz_count: 5, metadata })
  await untilPublished(url, id)
  t.same(queue.messages.map(({ kind }) => kind).sort(), ['concept', 'exercise', 'quiz'])
  const base = `https://chapters.example/base/v1/chapter/${id}`
  for (const message of queue.messages) {
    const { kind } = message
    const { job_id } = await viewJob(url, id, kind)
    const work = `?job_id=${job_id}&attempt=1`
    t.same(message, {
      job_id,
      kind,
      attempt: 1,
      max_attempts: 3,
      chapter_id: id,
      course_id: 8,
      owner_id: 7,
      title: '변수와 자료형',
      description: 'Python 기초',
      locale: 'en',
      quiz_count: 5,
      metadata,
      requested_at: inMs(0),
      deadline_at: inMs(TIMEOUT_MS),
      revision: 1,
      instruction: null,
      current: null,
      previous: null,
      callback: {
        start_url: `${base}/${kind}-start${work}`,
        finish_url: `${base}/${kind}-finish${work}`,
        fail_url: `${base}/${kind}-fail${work}`,
        progress_url: `${base}/progress${work}`,
        partial_url: `${base}/${kind}-partial${work}`,
      },
    })
  }
})

t.test('a queue that refuses messages gets them again when it is back', async (t) => {
  const clock = testClock()
  const inner = recordingQueue()
  let isAway = true
  let tries = 0
  const queue = {
    ...inner,
    async publish(...[messages, signal]: Parameters<typeof inner.publish>) {
      tries += 1
      if (isAway) throw new Error('away')
      await inner.publish(messages, signal)
    },
  }
  const { url } = await buildTestApp(t, {}, { now: clock.now, queue })
  const id = await createChapter(url)
  await waitFor('it was tried', () => tries > 0)
  t.match(await viewJob(url, id, 'concept'), { status: 'queued', attempt: 1, deadline_at: null })
  isAway = false
  // Whoever had them may still have sent them: others wait until the lease is over.
  clock.advance(15_000)
  await untilPublished(url, id)
  t.same(
    inner.messages.map(({ attempt }) => attempt),
    [1, 1, 1],
    'waiting for the queue costs no attempt',
  )
})
