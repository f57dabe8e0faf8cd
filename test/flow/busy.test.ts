/**
 * Busy is not broken: a model that is over its limit or away for minutes costs no chapter. Time is the test’s.
 */
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { recordingQueue } from '../support/recording-queue.js'
import { scale } from '../support/scale.js'
import { startNodes } from '../support/three-nodes.js'
import { eventNamesOf, eventsOf, untilPublished, viewChapter, viewJob } from '../support/views.js'

const CHAPTERS = scale(4, 50)
const STEP_MS = 5000

/** A worker whose model is busy until then; it answers whatever goes out, and time passes when nothing is out. */
async function busyUntil(t: Test, busyMs: number, failure: object, env: Record<string, string> = {}) {
  const clock = testClock()
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, env, { now: clock.now, queue })
  const startedAt = clock.now()
  const ids = await Promise.all(Array.from({ length: CHAPTERS }, () => createChapter(url)))
  let answered = 0
  let refused = 0
  const isAnswered = async () => {
    const batch = queue.messages.slice(answered)
    answered += batch.length
    const isBusy = clock.now() - startedAt < busyMs
    if (isBusy) refused += batch.length
    await Promise.all(
      batch.map(({ chapter_id, kind, job_id, attempt }) =>
        isBusy
          ? post(`${url}/v1/chapter/${chapter_id}/${kind}-fail`, { ...failure, job_id, attempt })
          : finish(url, chapter_id, kind, { job_id, attempt }),
      ),
    )
    return batch.length === 0
  }
  const views = () => Promise.all(ids.map((id) => viewChapter(url, id)))
  await waitFor(
    'all chapters to be complete',
    async () => {
      if (!(await isAnswered())) return false
      const jobs = (await views()).flatMap((view) => view.jobs)
      if (jobs.every(({ status }) => status === 'completed')) return true
      // What is due must have gone out before time passes.
      if (!jobs.some(({ status }) => status === 'published')) clock.advance(STEP_MS)
      return false
    },
    { timeoutMs: 200_000, everyMs: 40 },
  )
  const attempts = (await views()).flatMap(({ jobs }) => jobs.map(({ attempt }) => attempt))
  const names = (await Promise.all(ids.map((id) => eventNamesOf(url, id)))).flat()
  return { attempts, names, refused, letters: queue.letters, tookMs: clock.now() - startedAt }
}

t.setTimeout(600_000)

t.test('a model that says 429 for three minutes costs no chapter, and no attempt', async (t) => {
  const failure = { error: '429 Too Many Requests', reason: 'rate_limited', retry_after_s: 1 }
  const { attempts, names, refused, letters, tookMs } = await busyUntil(t, 180_000, failure)
  t.ok(attempts.every((attempt) => attempt === 1))
  t.same(letters, [])
  t.notOk(names.some((name) => name.endsWith('_failed')))
  t.ok(
    refused < CHAPTERS * JOB_KINDS.length * 10,
    `${refused} calls were refused: a busy model is not hammered`,
  )
  t.ok(tookMs < 330_000, `all were complete ${tookMs / 1000} s after the first`)
})

t.test('a model that refuses connections for a minute costs no chapter', async (t) => {
  const { attempts, names, letters } = await busyUntil(t, 60_000, { error: 'refused', reason: 'unavailable' })
  t.ok(attempts.every((attempt) => attempt === 1))
  t.same(letters, [])
  t.notOk(names.some((name) => name.endsWith('_failed')))
})

t.test('with a window that load narrows, a busy model is asked far less', async (t) => {
  const failure = { error: '429 Too Many Requests', reason: 'rate_limited' }
  const { attempts, refused } = await busyUntil(t, 180_000, failure, { GENERATION_WINDOW: '8' })
  t.ok(attempts.every((attempt) => attempt === 1))
  t.comment(`${refused} calls were refused`)
})

t.test('without patience a busy model costs attempts, and the chapter in the end', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(
    t,
    { GENERATION_PATIENCE_MS: '0', GENERATION_MAX_ATTEMPTS: '1' },
    { queue },
  )
  const id = await createChapter(url)
  for (const kind of JOB_KINDS)
    await post(`${url}/v1/chapter/${id}/${kind}-fail`, { error: '429', reason: 'rate_limited', attempt: 1 })
  t.match((await eventsOf(url, id)).at(-1), { event: 'chapter_failed' })
})

t.test('a worker hears at its next word, on any node, that its chapter was cancelled', async (t) => {
  const { nodes } = await startNodes(t, 3)
  const [one = '', other = '', third = ''] = nodes.map(({ url }) => url)
  const id = await createChapter(one)
  await untilPublished(one, id)
  const { job_id, attempt } = await viewJob(one, id, 'concept')
  const work = { job_id, attempt, kind: 'concept' }
  const heartbeat = (url: string) =>
    post(`${url}/v1/chapter/${id}/progress`, { ...work, progress: 0, message: '' })
  t.match(await post(`${other}/v1/chapter/${id}/concept-start`, work), { body: { run: true } })
  const alive = await heartbeat(third)
  t.match(alive.body, { status: 'success' })
  t.notOk('cancelled' in alive.body)
  await post(`${one}/v1/chapter/${id}/cancel`)
  for (const url of [one, other, third]) {
    t.match(await heartbeat(url), { status: 200, body: { status: 'ignored', cancelled: true } })
    t.match(await post(`${url}/v1/chapter/${id}/concept-start`, work), {
      body: { run: false, reason: 'cancelled' },
    })
  }
  const stream = await fetch(`${other}/v1/chapter/${id}/events`, { headers: { accept: 'text/event-stream' } })
  t.match(await stream.text(), /event: chapter_cancelled/, 'or it reads the chapter’s stream')
})
