import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createAuditStore } from '../../src/store/audit.js'
import { createRedriveStore } from '../../src/store/redrives.js'
import { createSweeper } from '../../src/timers/sweeper.js'
import { testClock } from '../support/app.js'
import { POLICY } from '../support/chapters.js'
import { waitFor } from '../support/condition.js'
import { connectPostgres, postgresUrl } from '../support/database.js'
import { silentLog } from '../support/log.js'
import { checkLogs, finishOf, nodeOn, readLogs } from '../support/node.js'

const RETENTION_MS = 10_000_000

t.test(
  'attempts that nobody answered run out one after the other, until the chapter has failed',
  async (t) => {
    const { node, clock, database, published } = await sweptBy(t, 2)
    const id = await node.make()
    for (let attempt = 1; attempt <= POLICY.maxAttempts; attempt++) {
      await published(id, attempt)
      clock.advance(POLICY.queueTimeoutMs - 1)
      const [before] = [await node.chapters.readChapter(id)]
      t.match(before?.jobs, { concept: { status: 'published', attempt } }, 'not before its deadline')
      clock.advance(1)
      await waitFor('the attempts to end', async () => {
        const state = await node.chapters.readChapter(id)
        return JOB_KINDS.every((kind) => state?.jobs[kind].status !== 'published')
      })
      clock.advance(POLICY.retryMaxMs)
    }
    const names = (await readLogs(database)).get(id)?.map(({ name }) => name) ?? []
    for (const kind of JOB_KINDS) {
      t.equal(names.filter((name) => name === `${kind}_timeout`).length, 3)
      t.equal(names.filter((name) => name === `${kind}_retrying`).length, 2)
      t.equal(names.filter((name) => name === `${kind}_failed`).length, 1)
    }
    t.equal(names.at(-1), 'chapter_failed')
    const letters = await node.jobs.claimDeadLetters({
      now: clock.now(),
      leasedUntil: clock.now(),
      limit: 10,
    })
    t.match(letters, [{ reason: 'timeout' }, { reason: 'timeout' }, { reason: 'timeout' }])
    t.ok(letters.every(({ deadlineAt }) => deadlineAt !== null))
  },
)

t.test('a job whose process died is queued again under the same attempt, without an event', async (t) => {
  const { node, nodes, clock, published, check } = await sweptBy(t, 2)
  const id = await node.make()
  await published(id, 1)
  const before = await node.chapters.readChapter(id)
  const jobId = before?.jobs.concept.jobId ?? ''
  await node.submit({ type: 'start', chapterId: id, kind: 'concept', jobId, attempt: 1 })
  await node.jobs.hold([{ chapterId: id, kind: 'concept', jobId }], clock.now() + 9000)
  clock.advance(9000)
  const after = await waitFor('the job to be queued', async () => {
    const state = await node.chapters.readChapter(id)
    return state?.jobs.concept.status === 'queued' && state
  })
  t.match(after.jobs, { concept: { jobId, attempt: 1, deadlineAt: null }, quiz: { status: 'published' } })
  t.equal(after.lastSeq, 5, 'no event')
  await waitFor('one of the nodes is offered it', () =>
    nodes.some(({ told }) => told.some(({ dueKinds }) => dueKinds.join() === 'concept')),
  )
  t.match(
    await node.submit({ type: 'start', chapterId: id, kind: 'concept', jobId, attempt: 1 }),
    { run: true },
    'whoever takes it next may run it',
  )
  await check()
})

t.test('a job is not taken for abandoned because the database was away', async (t) => {
  const claims: ('overdue' | 'holds')[] = []
  let isAway = true
  let renewed = false
  let early = 0
  const sweeper = createSweeper({
    jobs: {
      async claimOverdue() {
        if (isAway) throw new Error('the database is away')
        claims.push('overdue')
        return []
      },
      async claimExpiredHolds() {
        if (!renewed) early += 1
        claims.push('holds')
        return []
      },
    },
    events: { deleteLogsEndedBefore: async () => 0, deleteKeysBefore: async () => 0 },
    groups: { submit: async () => t.fail('nothing is overdue') as never },
    now: Date.now,
    pollMs: 5,
    standstillMs: 50,
    renewalMs: 500,
    eventRetentionMs: RETENTION_MS,
    log: silentLog(),
  })
  t.teardown(() => sweeper.close())
  const since = performance.now()
  await waitFor('an outage that is longer than a hold', () => performance.now() - since > 100)
  isAway = false
  await waitFor('sweeps without holds', () => claims.length > 5)
  renewed = true
  t.equal(early, 0)
  await waitFor('holds to count again', () => claims.includes('holds'))
})

t.test(
  'an ended chapter’s log is deleted after its retention, and a late result goes on from there',
  async (t) => {
    const { node, clock } = await sweptBy(t, 1)
    const [ended, running] = await Promise.all([node.make(), node.make()])
    const state = await node.chapters.readChapter(ended)
    for (const kind of JOB_KINDS)
      await node.submit({
        type: 'fail',
        chapterId: ended,
        kind,
        named: { jobId: state?.jobs[kind].jobId, attempt: 1 },
        reason: 'refused',
        error: 'no',
        retryable: false,
        retryAfterMs: 0,
      })
    const logOf = async (chapterId: number) =>
      (await node.events.readPages([{ chapterId, after: 0 }])).get(chapterId)
    clock.advance(RETENTION_MS)
    clock.advance(1)
    await waitFor('the log is gone', async () => (await logOf(ended))?.events.length === 0)
    t.match(await logOf(ended), { lastSeq: 8, logFrom: 9, status: 'failed' })
    t.equal((await logOf(running))?.events.length, 4, 'a chapter that runs keeps its own, however old')

    t.match(await node.submit(finishOf(ended, 'quiz')), { status: 'success' })
    t.match(await logOf(ended), {
      lastSeq: 9,
      logFrom: 9,
      events: [{ name: 'quiz_completed', payload: { seq: 9 } }],
    })
  },
)

t.test('an idempotency key is remembered for a day at least, and not for ever', async (t) => {
  const { node, clock } = await sweptBy(t, 1)
  const chapter = {
    courseId: 1,
    ownerId: 1,
    title: 'x',
    description: '',
    locale: 'ko' as const,
    quizCount: 1,
  }
  const create = async (key: string) =>
    (await node.create({ chapter: { ...chapter, metadata: {} }, idempotency: { key, bodyHash: '1' } })).isNew
  await create('key')
  clock.advance(24 * 60 * 60 * 1000)
  t.equal(await create('key'), false)
  clock.advance(24 * 60 * 60 * 1000 + 1)
  await waitFor('the key is forgotten', async () => (await create('key')) === true)
})

t.test(
  'what operators did is kept for its time and no longer, but never what is still under way',
  async (t) => {
    const { clock, database } = await sweptBy(t, 1)
    const audit = createAuditStore(database.db)
    const redrives = createRedriveStore(database.db)
    const redrive = { filter: {}, ids: null, ratePerS: 1, maxJobs: null, actor: 'me', requestId: 'r' }
    const make = async () => (await redrives.create({ ...redrive, createdAt: clock.now() })).id
    const ended = await make()
    await redrives.cancel(ended, clock.now())
    const underWay = await make()
    const entry = { actor: 'me', action: 'redrive', chapterId: null, kind: null, requestId: 'r' } as const
    await audit.begin([{ ...entry, at: clock.now(), details: {} }])
    clock.advance(RETENTION_MS)
    const later = await make()
    await redrives.cancel(later, clock.now())
    clock.advance(1)
    await waitFor('the old one is gone', async () => (await redrives.read(ended)) === undefined)
    await waitFor('its entry too', async () => (await audit.list({ limit: 10 })).items.length === 0)
    t.strictSame(
      (await redrives.list(undefined, 10)).map(({ id }) => id),
      [later, underWay],
    )
  },
)

t.test('a sweep that fails is followed by another', async (t) => {
  const failures: unknown[] = []
  let turns = 0
  const never = async () => {
    turns += 1
    throw new Error('the database is away')
  }
  const sweeper = createSweeper({
    jobs: { claimOverdue: never, claimExpiredHolds: never },
    events: { deleteLogsEndedBefore: never, deleteKeysBefore: never },
    groups: { submit: never },
    now: Date.now,
    pollMs: 2,
    eventRetentionMs: RETENTION_MS,
    log: silentLog((line) => failures.push(line)),
  })
  await waitFor('several turns', () => turns > 4)
  await sweeper.close()
  t.ok(failures.length > 3)
})

/** A database that `count` nodes sweep, under one clock that only the test moves. */
async function sweptBy(t: Test, count: number) {
  const url = await postgresUrl(t)
  const clock = testClock()
  const databases = Array.from({ length: count }, () => connectPostgres(t, url))
  const nodes = databases.map((database) => nodeOn(database, { now: clock.now }))
  const [database, node] = [databases[0], nodes[0]]
  if (database === undefined || node === undefined) throw new Error('no node')
  const sweepers = nodes.map(({ jobs, events, submit }) =>
    createSweeper({
      jobs,
      events,
      groups: { submit },
      now: clock.now,
      pollMs: 5,
      eventRetentionMs: RETENTION_MS,
      operators: {
        audit: createAuditStore(database.db),
        redrives: createRedriveStore(database.db),
        retentionMs: RETENTION_MS,
      },
      log: silentLog(),
    }),
  )
  t.teardown(async () => {
    await Promise.all(sweepers.map((sweeper) => sweeper.close()))
  })
  const published = async (chapterId: number, attempt: number) => {
    const state = await node.chapters.readChapter(chapterId)
    const attempts = JOB_KINDS.map((kind) => ({
      chapterId,
      kind,
      jobId: state?.jobs[kind].jobId ?? '',
      attempt,
      deadlineAt: clock.now() + POLICY.queueTimeoutMs,
    }))
    await node.jobs.markPublished(attempts)
  }
  return { node, nodes, clock, database, published, check: () => checkLogs(t, database, nodes) }
}
