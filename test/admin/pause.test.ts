/**
 * A paused kind: nothing of it is sent, by no node and by no way in which a job is sent; everything that comes back is
 * taken; no deadline runs out. The test is the worker; the clock stands still until it is moved.
 */
import t, { type Test } from 'tap'
import type { KindState } from '../../src/contract/admin.js'
import type { JobKind } from '../../src/contract/job.js'
import { createLocalQueue } from '../../src/dispatch/local-queue.js'
import { createPauses } from '../../src/dispatch/pauses.js'
import type { Database } from '../../src/store/database.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { connectPostgres, embeddedDatabase, postgresUrl } from '../support/database.js'
import { silentLog } from '../support/log.js'
import { MESSAGE, withHeaders } from '../support/message.js'
import { type RecordingQueue, recordingQueue } from '../support/recording-queue.js'
import { eventNamesOf, viewJob } from '../support/views.js'

const LONG_MS = 3_600_000

/** The same promise with whatever number of nodes and in whichever way jobs find theirs. */
async function keepsPauses(
  t: Test,
  {
    nodes,
    env,
    open,
  }: { nodes: number; env: Record<string, string>; open: () => Database | Promise<Database> },
): Promise<void> {
  const clock = testClock(Date.now())
  const start = async () => {
    const queue = recordingQueue()
    const database = await open()
    return { ...(await buildTestApp(t, env, { now: clock.now, queue, database })), queue, database }
  }
  const running = await Promise.all(Array.from({ length: nodes }, start))
  const [first, last] = [running[0], running.at(-1)]
  if (first === undefined || last === undefined) throw new Error('There are nodes')
  const queues: RecordingQueue[] = running.map(({ queue }) => queue)
  const sentOf = (id: number, kind: JobKind) => queues.flatMap((queue) => queue.of(id, kind))
  const othersAreSent = (url: string, id: number) =>
    waitFor('the other kinds are sent', async () => {
      const views = await Promise.all([viewJob(url, id, 'concept'), viewJob(url, id, 'exercise')])
      return views.every(({ status }) => status === 'published')
    })

  const before = await createChapter(first.url)
  await waitFor(
    'its quiz is sent',
    async () => (await viewJob(first.url, before, 'quiz')).status === 'published',
  )

  const paused = await post(`${first.url}/v1/admin/kinds/quiz/pause`, { reason: 'a test' })
  t.match(paused, {
    status: 200,
    body: { kind: 'quiz', is_paused: true, paused_by: 'loopback', reason: 'a test' },
  })
  await waitFor('the last node knows', async () => {
    const id = await createChapter(last.url)
    await othersAreSent(last.url, id)
    return sentOf(id, 'quiz').length === 0
  })

  const ids = []
  for (const { url } of running) ids.push(await createChapter(url))
  for (const id of ids) await othersAreSent(first.url, id)
  // Every lease ends, every deadline passes, and what is due is looked for again: a marker shows that it was.
  clock.advance(LONG_MS)
  for (const { url } of running) await othersAreSent(url, await createChapter(url))
  for (const { url } of running) await othersAreSent(url, await createChapter(url))
  for (const id of ids) {
    t.same(sentOf(id, 'quiz'), [], 'nothing is sent')
    t.match(await viewJob(first.url, id, 'quiz'), { status: 'queued', attempt: 1, deadline_at: null })
    t.notOk((await eventNamesOf(first.url, id)).includes('quiz_timeout'), 'no deadline ran out')
  }
  const [byHand = 0, ...rest] = ids
  t.match((await finish(last.url, before, 'quiz')).body, { status: 'success' }, 'what comes back is taken')
  t.match((await finish(last.url, byHand, 'quiz')).body, { status: 'success' }, 'also of what was not sent')

  // A restart changes nothing.
  const again = nodes === 1 ? undefined : await start()
  if (again !== undefined) {
    queues.push(again.queue)
    const id = await createChapter(again.url)
    await othersAreSent(again.url, id)
    t.same(sentOf(id, 'quiz'), [])
    rest.push(id)
  }
  const { body } = await request(`${last.url}/v1/admin/kinds`)
  t.match(
    body.kinds.map(({ kind, is_paused }: KindState) => [kind, is_paused]),
    [
      ['concept', false],
      ['exercise', false],
      ['quiz', true],
    ],
  )
  const waiting = rest.length === 0 ? [await createChapter(last.url)] : rest
  t.match(await post(`${last.url}/v1/admin/kinds/quiz/resume`), { status: 200, body: { is_paused: false } })
  clock.advance(60_000)
  for (const id of waiting) {
    await waitFor(
      'the quiz is sent',
      async () => (await viewJob(last.url, id, 'quiz')).status === 'published',
    )
    t.match(sentOf(id, 'quiz'), [{ attempt: 1 }], 'once')
  }
}

t.test('with two nodes nothing of a paused kind is sent by either, until it is resumed', async (t) => {
  const url = await postgresUrl(t)
  await keepsPauses(t, { nodes: 2, env: {}, open: () => connectPostgres(t, url) })
})

t.test('a window gives no place to a paused kind, and its places to the others', async (t) => {
  const url = await postgresUrl(t)
  const env = { GENERATION_WINDOW: '500', GENERATION_WINDOW_QUIZ: '400' }
  await keepsPauses(t, { nodes: 2, env, open: () => connectPostgres(t, url) })
})

t.test('a pause holds with the embedded database too', async (t) => {
  const database = await embeddedDatabase(t)
  await keepsPauses(t, { nodes: 1, env: {}, open: () => database })
})

t.test('jobs that a process holds and has not begun are given back when their kind is paused', async (t) => {
  const begun: string[] = []
  const holds: { jobIds: string[]; until: number }[] = []
  const queue = createLocalQueue({
    async work({ job_id }, signal) {
      begun.push(job_id)
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
      )
    },
    async hold(jobs, until) {
      holds.push({ jobIds: jobs.map(({ jobId }) => jobId), until })
    },
    now: () => 1000,
    log: silentLog(() => {}),
  })
  t.teardown(() => queue.close())
  const jobs = (kind: JobKind, name: string, count: number) =>
    Array.from({ length: count }, (_, n) => withHeaders({ ...MESSAGE, kind, job_id: `${name} ${n}` }))
  // As many as are worked on at once; the others wait.
  await queue.publish(jobs('quiz', 'begun', 200), AbortSignal.timeout(60_000))
  await queue.publish(
    [...jobs('quiz', 'waits', 2), ...jobs('concept', 'other', 1)],
    AbortSignal.timeout(60_000),
  )
  await queue.giveBack?.(new Set(['quiz']))
  t.match(holds.at(-1), { jobIds: ['waits 0', 'waits 1'], until: 1000 }, 'they are free at once')
  t.equal(queue.capacity, 1000 - 201, 'the others stay')
  t.notOk(begun.includes('waits 0'))
})

t.test('pauses are known before anything is asked of them, and a read that fails is no news', async (t) => {
  const told: string[] = []
  let isAway = true
  const kinds: { kind: JobKind; pausedAt: number; pausedBy: string; reason: null }[] = [
    { kind: 'quiz', pausedAt: 0, pausedBy: 'x', reason: null },
  ]
  const pauses = createPauses({
    store: {
      async read() {
        if (isAway) throw new Error('away')
        return [...kinds]
      },
    },
    pollMs: 3_600_000,
    onPaused: (paused) => told.push([...paused].join()),
    onResumed: () => told.push('resumed'),
    onError: () => {},
  })
  t.teardown(() => pauses.close())
  await t.rejects(pauses.known(), { message: 'away' })
  isAway = false
  t.same([...(await pauses.known())], ['quiz'])
  isAway = true
  await t.rejects(pauses.refresh(), { message: 'away' })
  t.ok(pauses.has('quiz'), 'as it was read last')
  isAway = false
  kinds.length = 0
  await pauses.refresh()
  t.notOk(pauses.has('quiz'))
  t.same(told, ['quiz', 'resumed'])
})
