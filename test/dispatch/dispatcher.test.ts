import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import t, { type Test } from 'tap'
import { DeadLetter, GenerationMessage } from '../../src/contract/generation.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createDispatcher, type Dispatcher, LEASE_MS } from '../../src/dispatch/dispatcher.js'
import { dueJobOf, type Message } from '../../src/dispatch/message.js'
import type { JobQueue } from '../../src/dispatch/queue.js'
import { testClock } from '../support/app.js'
import { POLICY } from '../support/chapters.js'
import { waitFor } from '../support/condition.js'
import { connectPostgres, postgresUrl } from '../support/database.js'
import { type LogLine, silentLog } from '../support/log.js'
import { checkLogs, failOf, gate, nodeOn } from '../support/node.js'

const NEVER_MS = 2 ** 30

t.test('the jobs of what was committed together go out in one send, and are marked published', async (t) => {
  const { queue, node, clock, publishedOf } = await dispatching(t)
  const held = gate()
  queue.before = () => held.wait()
  await node.make()
  await held.passed
  // While the first is being sent.
  const ids = await Promise.all(Array.from({ length: 10 }, () => node.make()))
  held.open()
  queue.before = () => {}
  for (const id of ids)
    t.match(await publishedOf(id), {
      status: 'published',
      attempt: 1,
      deadlineAt: clock.now() + POLICY.queueTimeoutMs,
    })
  t.strictSame(
    queue.sent.map((batch) => batch.length),
    [3, 30],
  )
})

t.test('where a send is dear, jobs made some milliseconds apart go out in one send', async (t) => {
  const { queue, node, publishedOf } = await dispatching(t, { lingerMs: 500 })
  const ids = [await node.make(), await node.make()]
  for (const id of ids) await publishedOf(id)
  t.strictSame(
    queue.sent.map((batch) => batch.length),
    [6],
  )
})

t.test(
  'a node that is shut down while jobs wait to be sent together leaves them to others at once',
  async (t) => {
    const { queue, node, clock, dispatcher } = await dispatching(t, { lingerMs: NEVER_MS })
    const id = await node.make()
    await dispatcher.close()
    t.strictSame(queue.sent, [])
    const due = await node.jobs.claimDue({ now: clock.now(), leasedUntil: clock.now() + LEASE_MS, limit: 9 })
    t.strictSame(
      due.map(({ chapterId }) => chapterId),
      [id, id, id],
    )
  },
)

t.test('a message says what the contract says', async (t) => {
  const { queue, node, clock } = await dispatching(t)
  const metadata = { course_title: '파이썬', nested: { list: [1, null, '👩🏽‍🏫'] } }
  const id = await node.make({ title: '제목', ownerId: 8, courseId: 9, quizCount: 5, locale: 'en', metadata })
  const [messages = []] = await waitFor('the send', () => queue.sent.length > 0 && queue.sent)
  const state = await node.chapters.readChapter(id)
  t.strictSame(messages.map(({ kind }) => kind).sort(), [...JOB_KINDS])
  for (const message of messages) {
    const { kind } = message
    const url = `http://public/v1/chapter/${id}`
    const work = `?job_id=${state?.jobs[kind].jobId}&attempt=1`
    t.strictSame(message, {
      job_id: state?.jobs[kind].jobId,
      kind,
      attempt: 1,
      max_attempts: 3,
      chapter_id: id,
      course_id: 9,
      owner_id: 8,
      title: '제목',
      description: 'Python 기초',
      locale: 'en',
      quiz_count: 5,
      metadata,
      requested_at: '2026-01-31T09:00:00.000Z',
      deadline_at: new Date(clock.now() + POLICY.queueTimeoutMs).toISOString(),
      previous: null,
      revision: 1,
      instruction: null,
      current: null,
      callback: {
        start_url: `${url}/${kind}-start${work}`,
        finish_url: `${url}/${kind}-finish${work}`,
        fail_url: `${url}/${kind}-fail${work}`,
        progress_url: `${url}/progress${work}`,
        partial_url: `${url}/${kind}-partial${work}`,
      },
    })
    t.strictSame(problemsOf(GenerationMessage, message), [])
    const { traceparent, ...headers } = queue.headers.get(message) ?? { traceparent: '' }
    const named = { 'job-id': message.job_id, attempt: '1' }
    t.strictSame(headers, { 'content-type': 'application/json', ...named })
    t.match(traceparent, new RegExp(`^00-${message.job_id.replaceAll('-', '')}-[0-9a-f]{16}-01$`))
  }
})

t.test('an offered job and a claimed one make the same message', async (t) => {
  const { node, clock, database } = await dispatching(t, { isOff: true })
  const id = await node.make({ metadata: { b: 1, a: [2] } })
  const state = await node.chapters.readChapter(id)
  if (state === undefined) return t.fail('the chapter is there')
  const claimed = await nodeOn(database).jobs.claimDue({
    now: clock.now() + LEASE_MS,
    leasedUntil: clock.now() + LEASE_MS,
    limit: 10,
  })
  const byKind = (a: { kind: string }, b: { kind: string }) => a.kind.localeCompare(b.kind)
  t.strictSame(
    claimed.sort(byKind),
    JOB_KINDS.map((kind) => dueJobOf(state, kind)),
  )
})

t.test('jobs that could not be sent stay queued, and go out when their lease has expired', async (t) => {
  const { queue, node, clock, lines, publishedOf } = await dispatching(t)
  queue.before = () => {
    throw new Error('no broker')
  }
  const id = await node.make()
  await waitFor('the failure is told', () => lines.some(({ level }) => level === 'warn'))
  t.match((await node.chapters.readChapter(id))?.jobs, { concept: { status: 'queued', deadlineAt: null } })
  t.strictSame(queue.sent, [])

  queue.before = () => {}
  clock.advance(LEASE_MS - 1)
  const other = await node.make()
  await publishedOf(other)
  t.match((await node.chapters.readChapter(id))?.jobs.concept.status, 'queued', 'its lease still runs')
  clock.advance(1)
  const job = await publishedOf(id)
  t.equal(job.deadlineAt, clock.now() + POLICY.queueTimeoutMs, 'the deadline counts from the send')
})

t.test('a job that was sent but not marked is sent again, which changes nothing', async (t) => {
  const { queue, node, clock, lines, publishedOf } = await dispatching(t)
  const { markPublished } = node.jobs
  let lost = 0
  node.jobs.markPublished = async (attempts) => {
    if (lost > 0) return markPublished(attempts)
    lost += 1
    throw new Error('the database was away')
  }
  const id = await node.make()
  await waitFor('the loss is told', () => lines.some(({ level }) => level === 'warn'))
  clock.advance(LEASE_MS)
  await publishedOf(id)
  t.equal(queue.sent.length, 2)
  const ids = (batch: GenerationMessage[] | undefined) => batch?.map(({ job_id }) => job_id).sort()
  t.strictSame(ids(queue.sent[0]), ids(queue.sent[1]))
  t.equal((await node.chapters.readChapter(id))?.lastSeq, 4, 'no event')
})

t.test('sends do not wait for the marks of those before, which are made together', async (t) => {
  const { queue, node, publishedOf } = await dispatching(t)
  const { markPublished } = node.jobs
  const held = gate()
  const marks: number[] = []
  node.jobs.markPublished = async (attempts) => {
    if (marks.push(attempts.length) === 1) await held.wait()
    return markPublished(attempts)
  }
  const ids = [await node.make()]
  await held.passed
  for (const count of [2, 3]) {
    ids.push(await node.make())
    await waitFor('the next send', () => queue.sent.length === count)
  }
  t.strictSame(marks, [3])
  held.open()
  for (const id of ids) await publishedOf(id)
  t.strictSame(marks, [3, 6])
})

t.test('a queue that is full is given nothing, and the rest when it has room', async (t) => {
  const { queue, node, clock, publishedOf } = await dispatching(t)
  queue.capacity = 4
  const ids = await Promise.all(Array.from({ length: 4 }, () => node.make()))
  await waitFor('the queue is full', () => queue.capacity === 0)
  t.equal(queue.sent.flat().length, 4)
  queue.capacity = 100
  clock.advance(LEASE_MS)
  for (const id of ids) await publishedOf(id)
  t.equal(new Set(queue.sent.flat().map(({ job_id }) => job_id)).size, 12)
})

t.test('offers that never end keep no claim waiting', async (t) => {
  const { queue, node, clock, publishedOf } = await dispatching(t)
  queue.before = () => {
    throw new Error('no broker')
  }
  const early = await node.make()
  await waitFor('the send fails', () => queue.failed > 0)
  // With every send the next chapter is made: the dispatcher always has an offer.
  let isDone = false
  queue.before = async () => {
    clock.advance(20)
    if (!isDone) await node.make()
  }
  await node.make()
  await waitFor('some offers went out', () => queue.sent.length > 3)
  clock.advance(LEASE_MS)
  const sent = queue.sent.length
  await publishedOf(early)
  t.ok(queue.sent.length - sent < 20, 'soon')
  isDone = true
})

t.test('while nothing can be sent, offers do not pile up in memory', async (t) => {
  const { queue, node, clock, dispatcher, publishedOf } = await dispatching(t)
  const held = gate()
  queue.before = () => held.wait()
  const state = await node.chapters.readChapter(await node.make())
  if (state === undefined) return t.fail('the chapter is there')
  await held.passed
  for (let i = 0; i < 100_000; i++) dispatcher.offer([dueJobOf(state, 'quiz')])
  const last = await node.make()
  clock.advance(LEASE_MS)
  queue.before = () => undefined
  held.open()
  await publishedOf(last)
  // A marker: what was offered before it has been sent before it.
  await publishedOf(await node.make())
  t.ok(queue.sent.flat().length < 10_000, `${queue.sent.flat().length} sent; the rest is in the database`)
})

t.test('two nodes send what is left over once', async (t) => {
  const url = await postgresUrl(t)
  const first = await dispatching(t, { url, isOff: true })
  await Promise.all(Array.from({ length: 100 }, () => first.node.make()))
  const others = [await dispatching(t, { url }), await dispatching(t, { url })]
  for (const { clock } of others) clock.advance(LEASE_MS)
  const sent = () => others.flatMap(({ queue }) => queue.sent.flat())
  await waitFor('all are sent', () => sent().length >= 300)
  t.equal(new Set(sent().map(({ job_id }) => job_id)).size, 300)
  t.equal(sent().length, 300)
})

t.test('a dead letter is sent as soon as it is owed, and again until it is certain', async (t) => {
  const { queue, node, clock, publishedOf, database } = await dispatching(t)
  const id = await node.make({ title: 'dead' })
  const { jobId } = await publishedOf(id)
  queue.before = () => {
    throw new Error('no broker')
  }
  await node.submit(failOf(id, 'concept', { retryable: false, reason: 'refused', error: '거절' }))
  await waitFor('the send fails', () => queue.failed > 0)
  t.strictSame(queue.letters, [])
  await node.submit({ type: 'retry', chapterId: id })
  queue.before = () => {}
  clock.advance(LEASE_MS)
  const [letter] = await waitFor('the letter', () => queue.letters.length > 0 && queue.letters)
  t.match(letter, {
    job_id: jobId,
    title: 'dead',
    attempt: 1,
    reason: 'refused',
    error: '거절',
    kind: 'concept',
  })
  t.match(letter?.callback.finish_url, `/v1/chapter/${id}/concept-finish`)
  t.strictSame(problemsOf(DeadLetter, letter), [])
  t.match(letter && queue.headers.get(letter), { 'job-id': jobId, attempt: '1' })
  await waitFor('it is owed no more', async () => {
    const claim = { now: clock.now() + LEASE_MS, leasedUntil: clock.now(), limit: 9 }
    return (await nodeOn(database).jobs.claimDeadLetters(claim)).length === 0
  })
})

t.test('closing waits for the send under way and its marks, and begins no other', async (t) => {
  const { queue, node, dispatcher } = await dispatching(t)
  const held = gate()
  queue.before = () => held.wait()
  const first = await node.make()
  await held.passed
  await node.make()
  let isClosed = false
  const closing = dispatcher.close().then(() => {
    isClosed = true
  })
  await new Promise(setImmediate)
  t.notOk(isClosed)
  const { markPublished } = node.jobs
  const marking = gate()
  node.jobs.markPublished = async (attempts) => {
    await marking.wait()
    return markPublished(attempts)
  }
  held.open()
  await marking.passed
  t.notOk(isClosed)
  marking.open()
  await closing
  t.equal(queue.sent.length, 1)
  t.equal((await node.chapters.readChapter(first))?.jobs.concept.status, 'published')
})

const ajv = new Ajv({ allErrors: true, strict: false })
formats.default(ajv)

function problemsOf(schema: object, value: unknown): unknown[] {
  const validate = ajv.compile({ ...schema, additionalProperties: false })
  return validate(value) ? [] : (validate.errors ?? [])
}

/** A node whose commits go to its dispatcher, with a queue that records and can fail. */
async function dispatching(
  t: Test,
  { url, isOff = false, lingerMs }: { url?: string; isOff?: boolean; lingerMs?: number } = {},
) {
  const clock = testClock()
  const database = connectPostgres(t, url ?? (await postgresUrl(t)))
  const lines: LogLine[] = []
  let dispatcher: Dispatcher | undefined
  const node = nodeOn(database, {
    now: clock.now,
    leaseMs: LEASE_MS,
    onCommit(committed) {
      node.told.push(...committed)
      dispatcher?.offer(
        committed.flatMap(({ state, dueKinds }) => dueKinds.map((kind) => dueJobOf(state, kind))),
      )
      if (committed.some(({ deadLetters }) => deadLetters.length > 0)) dispatcher?.offerDeadLetters()
    },
  })
  const queue = {
    capacity: Number.POSITIVE_INFINITY,
    ...(lingerMs === undefined ? {} : { lingerMs }),
    sent: [] as GenerationMessage[][],
    letters: [] as DeadLetter[],
    headers: new Map<GenerationMessage, Message['headers']>(),
    failed: 0,
    before: (): unknown => undefined,
    async publish(messages: Message[]) {
      await attempt()
      queue.capacity -= messages.length
      queue.sent.push(messages.map(({ value }) => value))
      for (const { value, headers } of messages) queue.headers.set(value, headers)
    },
    async publishDeadLetters(letters: Message<DeadLetter>[]) {
      await attempt()
      queue.letters.push(...letters.map(({ value }) => value))
      for (const { value, headers } of letters) queue.headers.set(value, headers)
    },
    async close() {},
  }
  async function attempt(): Promise<void> {
    try {
      await queue.before()
    } catch (error) {
      queue.failed += 1
      throw error
    }
  }
  dispatcher = createDispatcher({
    queue: queue satisfies JobQueue,
    jobs: node.jobs,
    now: clock.now,
    queueTimeoutMs: POLICY.queueTimeoutMs,
    publicUrl: () => 'http://public',
    pollMs: lingerMs === undefined ? 10 : NEVER_MS,
    log: silentLog((line) => lines.push(line)),
  })
  const close = dispatcher.close
  t.teardown(close)
  if (isOff) await close()
  const publishedOf = (chapterId: number) =>
    waitFor(`chapter ${chapterId} is published`, async () => {
      const jobs = (await node.chapters.readChapter(chapterId))?.jobs
      return (
        jobs !== undefined && JOB_KINDS.every((kind) => jobs[kind].status === 'published') && jobs.concept
      )
    })
  return {
    queue,
    node,
    clock,
    lines,
    database,
    dispatcher,
    publishedOf,
    check: () => checkLogs(t, database, [node]),
  }
}
