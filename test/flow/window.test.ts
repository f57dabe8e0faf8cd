/**
 * A window: at most so many jobs are with workers at once, whichever nodes they come from; the rest wait with us, and
 * owners take turns.
 */
import t from 'tap'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { countingWorker } from '../support/counting-worker.js'
import { embeddedDatabase } from '../support/database.js'
import { recordingQueue } from '../support/recording-queue.js'
import { scale } from '../support/scale.js'
import { startNodes } from '../support/three-nodes.js'
import { viewChapter, viewJob } from '../support/views.js'

const CHAPTERS = scale(15, 40)
const LONG = { timeoutMs: 120_000, everyMs: 20 }
t.test('three nodes never have more jobs out than the window, and give free places at once', async (t) => {
  const queue = recordingQueue()
  // No node looks for work by itself: whatever goes out, goes out because a place became free.
  const overrides = { queue, pollMs: 600_000 }
  const { nodes } = await startNodes(t, 3, { env: { GENERATION_WINDOW: '7' }, overrides })
  const urls = nodes.map(({ url }) => url)
  const at = (index: number) => urls[index % 3] ?? ''
  const worker = countingWorker(
    t,
    () => queue.messages,
    () => urls,
  )
  await Promise.all(Array.from({ length: CHAPTERS }, (_, index) => createChapter(at(index), { owner_id: 1 })))
  const before = worker.answers.length
  const other = await createChapter(at(1), { owner_id: 2 })
  await waitFor(
    'the other owner’s chapter',
    async () => (await viewChapter(at(0), other)).status === 'completed',
    LONG,
  )
  const sinceThen = queue.messages.slice(before)
  const ofOther = sinceThen.findLastIndex(({ owner_id }) => owner_id === 2)
  t.ok(
    ofOther < 7 + 6 + 6,
    `${ofOther} jobs went out before its last one: those that were out, and one round`,
  )
  await waitFor('every chapter', () => worker.answers.length >= (CHAPTERS + 1) * 3, LONG)
  t.equal(worker.most, 7, 'full, and never fuller')
  t.equal(queue.messages.length, (CHAPTERS + 1) * 3, 'each went out once')
})

t.test('one owner’s many chapters delay another’s one by one round', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, { GENERATION_WINDOW: '3' }, { queue, pollMs: 600_000 })
  for (let batch = 0; batch < scale(1, 10); batch++)
    await Promise.all(Array.from({ length: 50 }, () => createChapter(url, { owner_id: 1 })))
  const other = await createChapter(url, { owner_id: 2 })
  await waitFor('the window to be full', () => queue.messages.length === 3)
  t.match(await viewJob(url, other, 'concept'), { status: 'queued', waiting_before: 0 })
  t.match(await viewJob(url, other, 'quiz'), { status: 'queued', waiting_before: 2 })
  for (
    let index = 0;
    queue.of(other, 'concept').length === 0 || queue.of(other, 'quiz').length === 0;
    index++
  ) {
    const message = await waitFor('the next', () => queue.messages[index])
    await finish(url, message.chapter_id, message.kind)
  }
  const last = queue.messages.findIndex(({ chapter_id, kind }) => chapter_id === other && kind === 'quiz')
  t.ok(last < 3 + 2 * 3, `${last} jobs went out before the last of them`)
})

t.test('what waits says how many come before it, until it goes out', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, { GENERATION_WINDOW_QUIZ: '1' }, { queue })
  const ids = [await createChapter(url), await createChapter(url), await createChapter(url)]
  const [first = 0, second = 0, third = 0] = ids
  await waitFor('all that can go out', () => queue.messages.length === 7)
  t.match(await viewJob(url, second, 'quiz'), { status: 'queued', waiting_before: 0 })
  t.match(await viewJob(url, third, 'quiz'), { status: 'queued', waiting_before: 1 })
  t.notOk('waiting_before' in (await viewJob(url, first, 'quiz')), 'it is out')
  t.notOk('waiting_before' in (await viewJob(url, third, 'concept')), 'concepts have no window')
  await finish(url, first, 'quiz')
  await waitFor('the next', () => queue.of(second, 'quiz').length === 1)
  t.match(await viewJob(url, third, 'quiz'), { status: 'queued', waiting_before: 0 })
  await post(`${url}/v1/chapter/${second}/cancel`)
  await waitFor('the last', () => queue.of(third, 'quiz').length === 1)
})

t.test('a rate limit halves the window of all nodes for a while, and results widen it again', async (t) => {
  const queue = recordingQueue()
  const clock = testClock()
  const overrides = { queue, now: clock.now, random: () => 0.5 }
  const { nodes } = await startNodes(t, 3, {
    env: { GENERATION_WINDOW: '4', GENERATION_TIMEOUT_MS: '3600000' },
    overrides,
  })
  const [one = '', other = ''] = nodes.map(({ url }) => url)
  for (let count = 0; count < 20; count++) await createChapter(one)
  await waitFor('four to be out', () => queue.messages.length === 4)
  const ended = new Set<string>()
  // By `job_id`: what was not yet marked published when the clock is moved is sent again.
  const out = () => {
    const open = queue.messages.filter(({ job_id }) => !ended.has(job_id))
    return [...new Map(open.map((message) => [message.job_id, message])).values()]
  }
  async function end(how: 'finish' | 'limited', url: string): Promise<void> {
    const [message] = out()
    if (message === undefined) throw new Error('nothing is out')
    const { chapter_id, kind, job_id, attempt } = message
    ended.add(job_id)
    if (how === 'finish') await finish(url, chapter_id, kind)
    else {
      const failure = { error: '429', reason: 'rate_limited', job_id, attempt }
      await post(`${url}/v1/chapter/${chapter_id}/${kind}-fail`, failure)
    }
  }
  const settle = async (count: number) => {
    await waitFor(`${count} to be out`, () => out().length === count)
    // A place that is free would be taken by the next look of any node.
    const claims = nodes.length * 4
    for (let look = 0; look < claims; look++) await viewChapter(other, 1)
    t.equal(out().length, count)
  }
  /** Until the node that heard of the limit has told the others, they give away what is free. */
  const isHalved = (url: string) =>
    waitFor('the window to be halved', async () =>
      (await (await fetch(`${url}/metrics`)).text()).includes('chaptercast_window_places{window="all"} 2'),
    )
  await end('limited', other)
  await end('limited', other)
  await isHalved(other)
  // Another node’s look at that very moment may have given the free place away before it heard of the limit.
  while (out().length > 2) await end('finish', one)
  await settle(2)
  for (let count = 0; count < 8; count++) {
    await end('finish', count % 2 ? one : other)
    await waitFor('the next', () => out().length >= 2)
  }
  await settle(4)
  await end('limited', one)
  await isHalved(one)
  await end('finish', one)
  clock.advance(10 * 60_000)
  await settle(4)
})

t.test('metrics show the jobs that wait, the jobs with workers, and the size of each window', async (t) => {
  const queue = recordingQueue()
  const clock = testClock()
  const env = { GENERATION_WINDOW: '4', GENERATION_WINDOW_QUIZ: '1', GENERATION_TIMEOUT_MS: '3600000' }
  const { url } = await buildTestApp(t, env, { queue, now: clock.now })
  const ids = [await createChapter(url), await createChapter(url), await createChapter(url)]
  await waitFor('the window to be full', async () => {
    const jobs = (await Promise.all(ids.map((id) => viewChapter(url, id)))).flatMap((view) => view.jobs)
    return jobs.filter(({ status }) => status === 'published').length === 4
  })
  clock.advance(1_800_000)
  const text = await (await fetch(`${url}/metrics`)).text()
  const valueAt = (series: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')[1],
    )
  const jobs = (state: string) =>
    ['concept', 'exercise', 'quiz'].map((kind) =>
      valueAt(`chaptercast_window_jobs{kind="${kind}",state="${state}"}`),
    )
  t.equal(
    jobs('out').reduce((sum, count) => sum + count),
    4,
  )
  t.equal(
    jobs('waiting').reduce((sum, count) => sum + count),
    5,
  )
  t.equal(valueAt('chaptercast_window_jobs{kind="quiz",state="out"}'), 1)
  t.equal(valueAt('chaptercast_window_places{window="all"}'), 4)
  t.equal(valueAt('chaptercast_window_places{window="quiz"}'), 1)
  t.equal(
    valueAt('chaptercast_oldest_job_age_seconds{status="queued"}'),
    0,
    'what waits is no queue that stands still',
  )
})

t.test('without a window a create’s jobs go out at once, and views say nothing of waiting', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, {}, { queue, pollMs: 600_000 })
  const id = await createChapter(url)
  await waitFor('its jobs', () => queue.messages.length === 3)
  for (const job of (await viewChapter(url, id)).jobs) t.notOk('waiting_before' in job)
})

t.test('the embedded database and its generator keep to the window, too', async (t) => {
  const database = await embeddedDatabase(t)
  const env = { GENERATION_WINDOW: '2', GENERATOR: 'sample', GENERATOR_DELAY_MS: '30' }
  const { url } = await buildTestApp(t, env, { database })
  const ids = await Promise.all(Array.from({ length: 5 }, () => createChapter(url)))
  let most = 0
  await waitFor(
    'every chapter',
    async () => {
      const views = await Promise.all(ids.map((id) => viewChapter(url, id)))
      const jobs = views.flatMap((view) => view.jobs)
      most = Math.max(most, jobs.filter(({ status }) => status === 'published').length)
      return views.every(({ status }) => status === 'completed')
    },
    LONG,
  )
  t.ok(most <= 2, `${most} with the generator at once`)
})
