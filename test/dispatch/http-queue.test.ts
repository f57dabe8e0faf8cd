/**
 * Jobs that go out by HTTP: what is sent, and what becomes of each answer. Which answer means what is in
 * `worker-answer.test.ts`; that all queues keep the same promises is in `test/flow/queues.long.test.ts`.
 */
import { createHmac } from 'node:crypto'
import pino from 'pino'
import t, { type Test } from 'tap'
import type { Overrides } from '../../src/app.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import type { Database } from '../../src/store/database.js'
import { buildTestApp, testClock } from '../support/app.js'
import { createChapter, FINISH_BODIES, finish, post, request } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { DATABASES, postgresDatabase } from '../support/database.js'
import {
  accepting,
  answer,
  type HttpWorker,
  httpWorker,
  type Reply,
  silent,
  withResult,
} from '../support/http-worker.js'
import { scale } from '../support/scale.js'
import { eventNamesOf, learningOf, viewChapter, viewJob } from '../support/views.js'

t.setTimeout(600_000)

for (const [name, open] of Object.entries(DATABASES))
  t.test(`Webhook, model, Respond: three nodes are a whole worker (${name})`, async (t) => {
    const { url, worker } = await serving(t, withResult, {}, { database: await open(t) })
    const id = await createChapter(url)
    await untilEnded(url, id)
    t.match(await viewChapter(url, id), { status: 'completed', progress: 100 })
    t.equal(worker.requests.length, 3)
    t.match(await learningOf(url, id), { concept: { title: FINISH_BODIES.concept.title } })
    const names = await eventNamesOf(url, id)
    t.strictSame(names.slice(4, -1).sort(), JOB_KINDS.map((kind) => `${kind}_completed`).sort())
  })

t.test('a request is the message, named, traced and signed', async (t) => {
  const secret = Buffer.from('a key of this test').toString('base64')
  const { url, worker } = await serving(t, accepting, { DISPATCH_SECRET: `whsec_${secret}, other` })
  const id = await createChapter(url, { metadata: { prompt: '쉽게' } })
  await waitFor('all are sent', () => worker.requests.length === 3)
  for (const { path, method, headers, text, message } of worker.requests) {
    const { kind, job_id, attempt } = message
    t.equal(`${method} ${path}`, `POST /work/${kind}`)
    t.match(message, { chapter_id: id, attempt: 1, metadata: { prompt: '쉽게' }, previous: null })
    t.match(message.callback.finish_url, `${url.replace('127.0.0.1', 'localhost')}/v1/chapter/${id}/`)
    t.match(headers, {
      'content-type': 'application/json',
      'idempotency-key': `${job_id}/${attempt}`,
      'webhook-id': `${job_id}/${attempt}`,
      'content-length': String(Buffer.byteLength(text)),
    })
    t.match(headers.traceparent, new RegExp(`^00-${job_id.replaceAll('-', '')}-[0-9a-f]{16}-01$`))
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`
    const signatures = [Buffer.from(secret, 'base64'), 'other'].map(
      (key) => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`,
    )
    t.equal(headers['webhook-signature'], signatures.join(' '))
    t.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000) < 60)
  }
})

t.test('a worker that accepts calls back, and is not asked again', async (t) => {
  const replies: Reply[] = [
    accepting,
    (request) => answer(request, 204),
    (request) => answer(request, 409, { message: 'I have it' }),
    (request) => answer(request, 200, { message: 'Workflow was started' }),
  ]
  const clock = testClock()
  const { url, worker } = await serving(
    t,
    (request) => replies[worker.requests.length % 4]?.(request),
    {},
    { now: clock.now },
  )
  const ids = await Promise.all(Array.from({ length: 4 }, () => createChapter(url)))
  await waitFor('all are sent and answered', () => worker.requests.length === 12 && worker.open.length === 0)
  // Longer than a hold lasts: what is let go is not sent again. A marker is, which shows that jobs are looked for.
  clock.advance(11_000)
  const marker = await createChapter(url)
  await waitFor('the marker is sent', () => JOB_KINDS.every((kind) => worker.of(marker, kind).length > 0))
  t.equal(worker.requests.length, 15)
  for (const { message } of worker.requests)
    t.match((await post(message.callback.finish_url, FINISH_BODIES[message.kind])).body, {
      status: 'success',
    })
  for (const id of ids) t.match(await viewChapter(url, id), { status: 'completed' })
})

t.test('after 202 the deadline of the queue counts, and after -start the attempt’s', async (t) => {
  const clock = testClock()
  const env = { GENERATION_TIMEOUT_MS: '60000', GENERATION_QUEUE_TIMEOUT_MS: '600000' }
  const { url, worker } = await serving(t, silent, env, { now: clock.now })
  const id = await createChapter(url)
  const deadlineIs = (ms: number) =>
    waitFor('the deadline', async () => {
      const { deadline_at } = await viewJob(url, id, 'concept')
      return deadline_at === new Date(clock.now() + ms).toISOString()
    })
  const first = await waitFor('it is sent', () => worker.of(id, 'concept')[0])
  await deadlineIs(60_000)
  t.equal(first.message.deadline_at, new Date(clock.now() + 60_000).toISOString())
  answer(first, 202)
  await deadlineIs(600_000)
  await post(first.message.callback.start_url, {})
  await deadlineIs(60_000)
})

t.test('an answer that fails costs the attempt, and the next one is told why', async (t) => {
  const replies: [Reply, object][] = [
    [(r) => answer(r, 500, { message: 'Error in workflow' }), { reason: 'model_error' }],
    [(r) => answer(r, 302, '', { location: 'http://127.0.0.1:1/' }), { reason: 'model_error' }],
    [(r) => answer(r, 200, { output: 'I cannot help' }), { reason: 'invalid_result' }],
    [(r) => answer(r, 200, 'x'.repeat(5000)), { reason: 'invalid_result', error: /longer than 4096 bytes/ }],
    [(r) => answer(r, 200, { quizzes: [] }), { reason: 'invalid_result' }],
  ]
  const { url, worker } = await serving(t, accepting, { WEBHOOK_BODY_LIMIT_BYTES: '4096' })
  for (const [reply, previous] of replies) {
    worker.reply = reply
    const id = await createChapter(url)
    const second = await waitFor('the second attempt', () => worker.of(id, 'quiz')[1])
    t.match(second.message, { attempt: 2, previous })
    t.not(second.headers['idempotency-key'], worker.of(id, 'quiz')[0]?.headers['idempotency-key'])
  }
})

t.test('a quiz with too few good questions costs the attempt, and is asked for again', async (t) => {
  const [good] = FINISH_BODIES.quiz.quizzes
  const bad = { question: 'q', correct_answer: 'none of these', options: ['a', 'b'], type: 'multiple' }
  const { url, worker } = await serving(t, (r) =>
    r.message.kind === 'quiz' && r.message.attempt === 1
      ? answer(r, 200, { quizzes: [good, bad, bad] })
      : withResult(r),
  )
  const id = await createChapter(url)
  await untilEnded(url, id)
  t.match(worker.of(id, 'quiz')[1]?.message, { attempt: 2, previous: { reason: 'invalid_result' } })
})

t.test('a worker that is away: the job waits, no attempt is used, and /readyz tells of it', async (t) => {
  const statuses = [404, 503, 429, 502, 504].slice(0, scale(2, 5))
  await Promise.all(statuses.map((status) => away(t, status)))
})

async function away(t: Test, status: number): Promise<void> {
  const { url, worker } = await serving(t, (r) => answer(r, status, { message: 'not now' }))
  const id = await createChapter(url)
  const ready = await waitFor('it is told', async () => {
    const { body } = await request(`${url}/readyz`)
    return body.dependencies.dispatch === 'degraded' && body
  })
  t.match(await (await fetch(`${url}/metrics`)).text(), /chaptercast_dispatch_away 1/)
  t.match(ready, { status: 'ready', details: { dispatch: `the worker answered ${status}: not now` } })
  await waitFor('it is tried again', () => worker.requests.length > 4)
  worker.reply = withResult
  await untilEnded(url, id, 90_000)
  t.match(await viewChapter(url, id), { status: 'completed' })
  t.ok(worker.requests.every(({ message }) => message.attempt === 1))
  const keys = new Set(worker.requests.map(({ headers }) => headers['idempotency-key']))
  t.equal(keys.size, 3, 'the same work')
  t.notMatch(await eventNamesOf(url, id), /retrying/)
  await waitFor('all is well', async () => {
    const { body } = await request(`${url}/readyz`)
    return body.dependencies.dispatch === 'ok' && body.details === undefined
  })
  const metrics = await (await fetch(`${url}/metrics`)).text()
  t.match(metrics, new RegExp(`dispatch_answers_total\\{kind="quiz",answer="${status}"\\} [1-9]`))
  t.match(metrics, /dispatch_answers_total\{kind="quiz",answer="200"\} 1/)
}

t.test('Retry-After is honoured, in seconds and as a date', async (t) => {
  for (const inSeconds of [true, false]) {
    const clock = testClock()
    const after = inSeconds ? '120' : new Date(clock.now() + 120_000).toUTCString()
    const { url, worker, close } = await serving(
      t,
      (r) => answer(r, 503, '', { 'retry-after': after }),
      {},
      { now: clock.now, random: () => 0 },
    )
    const id = await createChapter(url)
    await waitFor('all wait', async () => {
      const { jobs } = await viewChapter(url, id)
      return worker.requests.length === 3 && jobs.every(({ status }) => status === 'queued')
    })
    worker.reply = withResult
    clock.advance(119_000)
    // A marker: a claim sees what is due, and this chapter’s jobs wait behind the same address.
    await createChapter(url)
    t.equal(worker.requests.length, 3, 'not before')
    clock.advance(16_000)
    // Time goes on: a claim at the last moment keeps jobs for the length of a lease.
    const ticking = setInterval(() => clock.advance(1000), 100)
    await untilEnded(url, id)
    clearInterval(ticking)
    await close()
  }
})

t.test('a worker that refuses connections is waited for', async (t) => {
  const port = await freePort()
  const { url } = await serving(t, withResult, { DISPATCH_URL: `http://127.0.0.1:${port}/{kind}` })
  const id = await createChapter(url)
  await waitFor('it is told', async () => {
    const { body } = await request(`${url}/readyz`)
    return /ECONNREFUSED/.test(body.details?.dispatch)
  })
  t.match(await viewJob(url, id, 'quiz'), { attempt: 1, error: null })
  await httpWorker(t, withResult, port)
  await untilEnded(url, id, 90_000)
})

t.test('a connection that breaks uses no attempt: the job is sent again under the same name', async (t) => {
  const { url, worker } = await serving(t, ({ response }) => response.destroy())
  const id = await createChapter(url)
  await waitFor('it was tried', () => worker.requests.length >= 3)
  // Half an answer is none.
  worker.reply = ({ response }) => {
    response.writeHead(200, { 'content-length': '1000' }).write('{"title": "x", "content": "y"}')
    setImmediate(() => response.destroy())
  }
  await waitFor('it was tried again', () => worker.requests.length >= 6)
  worker.reply = withResult
  await untilEnded(url, id, 90_000)
  t.ok(worker.requests.every(({ message }) => message.attempt === 1))
})

t.test(
  'a worker that was heard before its connection broke has the job, and is not asked again',
  async (t) => {
    const { url, worker } = await serving(t, async ({ message, response }) => {
      await post(message.callback.start_url, {})
      response.destroy()
    })
    const id = await createChapter(url)
    await waitFor('all were tried and broken', () => worker.requests.length === 3 && worker.open.length === 0)
    const marker = await createChapter(url)
    await waitFor('the marker is sent', () => worker.of(marker, 'quiz').length > 0)
    t.equal(worker.of(id, 'quiz').length, 1)
    t.match(await viewJob(url, id, 'quiz'), { status: 'published', attempt: 1 })
    for (const kind of JOB_KINDS) t.match((await finish(url, id, kind)).body, { status: 'success' })
  },
)

t.test('a callback that comes while the job waits is taken, and the job is not sent again', async (t) => {
  const { url, worker } = await serving(t, (r) => answer(r, 503, '', { 'retry-after': '600' }))
  const id = await createChapter(url)
  await waitFor('all wait', async () => {
    const { jobs } = await viewChapter(url, id)
    return worker.requests.length === 3 && jobs.every(({ status }) => status === 'queued')
  })
  const { message } = worker.of(id, 'quiz')[0] ?? {}
  t.match((await post(message?.callback.start_url ?? '', {})).body, { run: true })
  t.match(await viewJob(url, id, 'quiz'), { status: 'published', attempt: 1 })
  for (const kind of JOB_KINDS) await finish(url, id, kind)
  t.match(await viewChapter(url, id), { status: 'completed' })
})

t.test(
  'a worker that is away for longer than the patience costs attempts, with its own reason',
  async (t) => {
    const env = { GENERATION_PATIENCE_MS: '0', GENERATION_MAX_ATTEMPTS: '2' }
    const { url } = await serving(t, (r) => answer(r, 429, { message: 'slow down' }), env)
    const id = await createChapter(url)
    await untilEnded(url, id, 90_000)
    t.match(await viewJob(url, id, 'quiz'), {
      status: 'failed',
      attempt: 2,
      error: { reason: 'rate_limited', message: 'the worker answered 429: slow down' },
    })
  },
)

t.test('no answer before the deadline is a time-out, and the request is ended', async (t) => {
  const env = { GENERATION_TIMEOUT_MS: '1000', GENERATION_MAX_ATTEMPTS: '1' }
  const { url, worker } = await serving(t, silent, env)
  const id = await createChapter(url)
  await untilEnded(url, id)
  t.match(await viewJob(url, id, 'quiz'), { status: 'failed', error: { reason: 'timeout' } })
  await waitFor('the requests are ended', () => worker.requests.every(({ isAborted }) => isAborted))
})

t.test('a worker that reports progress while its request is open keeps its time', async (t) => {
  const { url, worker } = await serving(t, silent, { GENERATION_TIMEOUT_MS: '3000' })
  const id = await createChapter(url)
  const { message } = await waitFor('it is sent', () => worker.of(id, 'concept')[0])
  await waitFor(
    'the exercise, which says nothing, is over',
    async () => {
      await post(message.callback.progress_url, { progress: 20, message: 'x', kind: 'concept' })
      return (await viewJob(url, id, 'exercise')).attempt === 2
    },
    { everyMs: 200 },
  )
  t.match(await viewJob(url, id, 'concept'), { status: 'published', attempt: 1 })
  const [open] = worker.of(id, 'concept')
  if (open !== undefined) withResult(open)
  await waitFor('it counts', async () => (await viewJob(url, id, 'concept')).status === 'completed')
})

t.test('a chapter that is cancelled ends its open requests within five seconds', async (t) => {
  const { url, worker } = await serving(t, silent)
  const id = await createChapter(url)
  await waitFor('all are open', () => worker.open.length === 3)
  await post(`${url}/v1/chapter/${id}/cancel`)
  const cancelledAt = Date.now()
  await waitFor('all are ended', () => worker.open.length === 0)
  t.ok(Date.now() - cancelledAt < 5000, `${Date.now() - cancelledAt} ms`)
  t.ok(worker.requests.every(({ isAborted }) => isAborted))
})

t.test('no more requests are open than are wanted, and none waits when there is room', async (t) => {
  const { url, worker } = await serving(t, silent, { DISPATCH_CONCURRENCY: '4' })
  await Promise.all(Array.from({ length: 10 }, () => createChapter(url)))
  await waitFor('as many as are wanted', () => worker.open.length === 4)
  let most = 0
  const startedAt = Date.now()
  for (let done = 0; done < 30; done += 1) {
    const next = await waitFor('one is open', () => worker.open[0])
    most = Math.max(most, worker.open.length)
    withResult(next)
  }
  t.equal(most, 4)
  t.equal(new Set(worker.requests.map(({ message }) => message.job_id)).size, 30)
  t.equal(worker.requests.length, 30)
  t.comment(`30 jobs, 4 at a time, one after the other: ${Date.now() - startedAt} ms`)
})

t.test('an address of one kind that is away does not hold up the others', async (t) => {
  const { url, worker } = await serving(t, (r) =>
    r.message.kind === 'quiz' ? answer(r, 404, { message: 'not registered' }) : withResult(r),
  )
  const ids = await Promise.all(Array.from({ length: 8 }, () => createChapter(url)))
  for (const id of ids)
    await waitFor('the others are done', async () => {
      const { jobs } = await viewChapter(url, id)
      return jobs.filter(({ status }) => status === 'completed').length === 2
    })
  t.ok(worker.requests.filter(({ message }) => message.kind === 'quiz').length <= 24, 'it is left alone')
})

t.test('a node that leaves lets requests end for a moment, and gives the rest to others', async (t) => {
  const { url, worker, close, database } = await serving(t, silent)
  const id = await createChapter(url)
  await waitFor('all are open', () => worker.open.length === 3)
  const closing = close()
  const [first] = worker.of(id, 'concept')
  if (first !== undefined) withResult(first)
  await closing
  t.strictSame(worker.requests.map(({ isAborted, message }) => `${message.kind} ${isAborted}`).sort(), [
    'concept false',
    'exercise true',
    'quiz true',
  ])
  worker.reply = withResult
  const next = await serving(t, withResult, { DISPATCH_URL: worker.url }, { database })
  await untilEnded(next.url, id)
  t.match(await viewChapter(next.url, id), { status: 'completed' })
  t.equal(worker.of(id, 'concept').length, 1, 'what ended in time counts')
  for (const kind of ['exercise', 'quiz'] as const)
    t.match(
      worker.of(id, kind).map(({ message }) => message.attempt),
      [1, 1],
    )
})

t.test('a job that failed for good is told to the log, as with the queue in this process', async (t) => {
  const lines: string[] = []
  const { url } = await serving(
    t,
    (r) => answer(r, 500),
    { GENERATION_MAX_ATTEMPTS: '1', LOG_LEVEL: 'warn' },
    {
      logger: pino({ level: 'warn' }, { write: (line) => lines.push(line) }),
    },
  )
  await untilEnded(url, await createChapter(url))
  await waitFor('all three are told', () => lines.filter((line) => /failed for good/.test(line)).length === 3)
})

async function serving(
  t: Test,
  reply: Reply,
  env: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<{ url: string; worker: HttpWorker; close: () => Promise<void>; database: Database }> {
  const worker = await httpWorker(t, reply)
  const database = overrides.database ?? (await postgresDatabase(t))
  const settings = {
    DISPATCH: 'http',
    DISPATCH_URL: worker.url,
    GENERATION_RETRY_BASE_MS: '10',
    ...env,
  }
  const { url, close } = await buildTestApp(t, settings, {
    ...overrides,
    database: { ...database, close: async () => {} },
  })
  return { url, worker, close, database }
}

async function untilEnded(url: string, id: number, timeoutMs = 30_000): Promise<void> {
  await waitFor('the chapter ends', async () => (await viewChapter(url, id)).status !== 'processing', {
    timeoutMs,
  })
}
