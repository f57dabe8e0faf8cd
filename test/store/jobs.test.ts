import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import type { JobStore } from '../../src/store/jobs.js'
import { POLICY } from '../support/chapters.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import { failOf, finishOf, nodeOn, progressOf, query, type StoreNode } from '../support/node.js'

const NOW = Date.parse('2026-01-31T09:00:00.000Z')
/** Of an attempt, from its message and from its start alike. */
const DEADLINE_MS = POLICY.timeoutMs
const policy = { ...POLICY, queueTimeoutMs: DEADLINE_MS }

const claimAt = (now: number, limit = 100) => ({ now, leasedUntil: now + 1000, limit })

t.test('claims by two nodes at once never overlap, and together take everything', async (t) => {
  const url = await postgresUrl(t)
  const databases = [connectPostgres(t, url), connectPostgres(t, url)]
  const nodes = databases.map((database) => nodeOn(database, { policy, now: () => NOW, leaseMs: 0 }))
  const [node, other] = nodes
  if (node === undefined || other === undefined) return
  await Promise.all(Array.from({ length: 50 }, () => node.make()))

  const claim = async <T>(one: (jobs: JobStore) => Promise<T[]>): Promise<T[]> => {
    const claims = Array.from({ length: 20 }, (_, i) => one((i % 2 ? node : other).jobs))
    return (await Promise.all(claims)).flat()
  }
  const due = await claim((jobs) => jobs.claimDue(claimAt(NOW, 10)))
  t.equal(new Set(due.map(({ jobId }) => jobId)).size, due.length, 'due')
  due.push(...(await node.jobs.claimDue(claimAt(NOW))))
  t.equal(due.length, 150)
  t.equal((await other.jobs.claimDue(claimAt(NOW))).length, 0)

  await publish(node, due)
  const later = NOW + DEADLINE_MS + 1
  const overdue = await claim((jobs) => jobs.claimOverdue(claimAt(later, 10)))
  t.equal(new Set(overdue.map(({ jobId }) => jobId)).size, overdue.length, 'overdue')
  t.equal(overdue.length + (await node.jobs.claimOverdue(claimAt(later))).length, 150)

  await node.jobs.hold(
    due.map(({ jobId }) => jobId),
    NOW,
  )
  const lapsed = await claim((jobs) => jobs.claimLapsed(claimAt(later, 10)))
  t.equal(new Set(lapsed.map(({ jobId }) => jobId)).size, lapsed.length, 'lapsed')
  t.equal(lapsed.length + (await node.jobs.claimLapsed(claimAt(later))).length, 150)
})

t.test(
  'holding jobs again and again gets in the way of no write, in whatever order they are named',
  async (t) => {
    const url = await postgresUrl(t)
    const [holder, writer] = [connectPostgres(t, url), connectPostgres(t, url)].map((database) =>
      nodeOn(database),
    )
    if (holder === undefined || writer === undefined) return
    const ids = await Promise.all(Array.from({ length: 60 }, () => writer.make()))
    const due = await writer.jobs.claimDue({ now: Date.now() + 60_000, leasedUntil: 0, limit: 500 })
    await publish(writer, due)

    let isDone = false
    const hold = async () => {
      while (!isDone) await holder.jobs.hold(shuffled(due.map(({ jobId }) => jobId)), Date.now() + 9000)
    }
    const write = async () => {
      for (let round = 1; round <= 20; round++)
        await Promise.all(
          shuffled(ids).flatMap((id) => JOB_KINDS.map((kind) => writer.submit(progressOf(id, round, kind)))),
        )
      isDone = true
    }
    await Promise.all([hold(), hold(), write()])
    const said = await query(
      connectPostgres(t, url, 1),
      'select pg_stat_clear_snapshot(), deadlocks::int from pg_stat_database where datname = current_database()',
    )
    t.match(said, [{ deadlocks: 0 }])
  },
)

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    let now = NOW
    const node = nodeOn(database, { policy, now: () => now, leaseMs: 500 })
    const { jobs } = node
    t.beforeEach(async () => {
      now = NOW
      await query(database, 'delete from chapter')
    })

    await t.test('a job is leased to whoever made it, and anyone’s when the lease has lapsed', async (t) => {
      await node.make()
      t.strictSame(await jobs.claimDue(claimAt(NOW + 499)), [])
      t.equal((await jobs.claimDue(claimAt(NOW + 500))).length, 3)
      t.strictSame(await jobs.claimDue(claimAt(NOW + 1499)), [], 'claimed: leased again')
      t.equal((await jobs.claimDue(claimAt(NOW + 1500, 2))).length, 2, 'and again, no more than asked for')
    })

    await t.test('a claimed job has all that its message says, the oldest first', async (t) => {
      const first = await node.make({
        title: '제목',
        metadata: { a: [1] },
        quizCount: 7,
        ownerId: 5,
        courseId: 6,
      })
      now += 10
      const second = await node.make()
      const due = await jobs.claimDue(claimAt(NOW + 5000))
      t.strictSame(
        due.map(({ chapterId }) => chapterId),
        [first, first, first, second, second, second],
      )
      const state = await node.chapters.readChapter(first)
      t.strictSame(
        due.find(({ kind, chapterId }) => kind === 'quiz' && chapterId === first),
        {
          kind: 'quiz',
          jobId: state?.jobs.quiz.jobId,
          attempt: 1,
          maxAttempts: 3,
          requestedAt: NOW,
          chapterId: first,
          courseId: 6,
          ownerId: 5,
          title: '제목',
          description: 'Python 기초',
          locale: 'ko',
          quizCount: 7,
          metadata: { a: [1] },
          traceparent: null,
        },
      )
    })

    await t.test('claiming raises no version, so that it spoils nobody’s write', async (t) => {
      const id = await node.make()
      const due = await jobs.claimDue(claimAt(NOW + 5000))
      t.equal((await node.chapters.readChapter(id))?.version, 1)
      await publish(node, due)
      const published = await node.chapters.readChapter(id)
      await jobs.claimOverdue(claimAt(NOW + 700_000))
      await jobs.hold(jobIdsOf(published), NOW)
      await jobs.claimLapsed(claimAt(NOW))
      await jobs.voidLeases(NOW)
      t.strictSame(await node.chapters.readChapter(id), published)
    })

    await t.test('a job whose next attempt waits is due then and not before', async (t) => {
      const id = await node.make()
      const [job] = await jobs.claimDue(claimAt(NOW + 1000, 1))
      if (job === undefined) return t.fail('a job is due')
      const named = { jobId: job.jobId, attempt: 1 }
      await node.submit(failOf(id, job.kind, { named, retryAfterMs: 30_000 }))
      const due = async (at: number) =>
        (await jobs.claimDue({ ...claimAt(at), leasedUntil: at })).map(({ kind }) => kind)
      t.notOk((await due(NOW + 29_999)).includes(job.kind))
      t.ok((await due(NOW + 30_000)).includes(job.kind))
    })

    await t.test(
      'an attempt is overdue at its deadline and not before, and a sign of life moves that',
      async (t) => {
        const id = await node.make()
        await publish(node, await jobs.claimDue(claimAt(NOW + 1000)))
        t.strictSame(await jobs.claimOverdue(claimAt(NOW + DEADLINE_MS - 1)), [])
        now = NOW + 5000
        await node.submit(progressOf(id, 10, 'quiz'))
        const overdue = await jobs.claimOverdue(claimAt(NOW + DEADLINE_MS))
        t.strictSame(overdue.map(({ kind }) => kind).sort(), ['concept', 'exercise'])
        t.match(overdue[0], { chapterId: id, attempt: 1 })
        t.strictSame(
          await jobs.claimOverdue(claimAt(NOW + DEADLINE_MS + 999)),
          [],
          'somebody is expiring them',
        )
        t.equal((await jobs.claimOverdue(claimAt(NOW + DEADLINE_MS + 1000))).length, 2, 'who died')
      },
    )

    await t.test(
      'a job that its process holds no longer is found, one in a durable queue never',
      async (t) => {
        const id = await node.make()
        await publish(node, await jobs.claimDue(claimAt(NOW + 1000)))
        t.strictSame(await jobs.claimLapsed(claimAt(NOW + 99_000)), [], 'nobody ever held them')
        const state = await node.chapters.readChapter(id)
        await jobs.hold(jobIdsOf(state), NOW + 9000)
        t.strictSame(await jobs.claimLapsed(claimAt(NOW + 8999)), [])
        await jobs.hold([state?.jobs.quiz.jobId ?? ''], NOW + 20_000)
        const lapsed = await jobs.claimLapsed(claimAt(NOW + 9000))
        t.strictSame(lapsed.map(({ kind }) => kind).sort(), ['concept', 'exercise'])

        now = NOW + 9000
        for (const attempt of lapsed) await node.submit({ type: 'lapse', ...attempt })
        const after = await node.chapters.readChapter(id)
        t.match(after?.jobs, {
          concept: { status: 'queued', attempt: 1, jobId: state?.jobs.concept.jobId },
          exercise: { status: 'queued', attempt: 1, jobId: state?.jobs.exercise.jobId },
          quiz: { status: 'published' },
        })
        await publish(node, await jobs.claimDue(claimAt(NOW + 30_000)))
        t.strictSame(await jobs.claimLapsed(claimAt(NOW + 15_000)), [], 'the old hold is forgotten')
      },
    )

    await t.test('where no other process can be, leases and holds left over are void at once', async (t) => {
      const id = await node.make()
      await jobs.claimDue(claimAt(NOW + 500))
      await jobs.voidLeases(NOW + 501)
      const due = await jobs.claimDue(claimAt(NOW + 501))
      t.equal(due.length, 3)
      await publish(node, due)
      t.strictSame(await jobs.claimLapsed(claimAt(NOW + 99_000)), [], 'what nobody held has not lapsed')

      const [held = '', ...others] = jobIdsOf(await node.chapters.readChapter(id))
      await jobs.hold([held], NOW + 9000)
      await jobs.claimOverdue(claimAt(NOW + DEADLINE_MS))
      await jobs.voidLeases(NOW + 600)
      t.match(await jobs.claimLapsed(claimAt(NOW + 600)), [{ jobId: held }])
      t.equal((await jobs.claimOverdue(claimAt(NOW + DEADLINE_MS))).length, 1 + others.length)
    })

    await t.test('a dead letter is owed by the write that failed the job, until it was sent', async (t) => {
      const id = await node.make({ title: 'dead' })
      const state = await node.chapters.readChapter(id)
      const named = { jobId: state?.jobs.quiz.jobId, attempt: 1 }
      const [, told] = await Promise.all([
        node.submit(failOf(id, 'quiz', { named, retryable: false, reason: 'refused', error: '거절' })),
        node.submit(finishOf(id, 'concept')),
      ])
      t.match(told, { status: 'success' })
      t.match(node.told.find(({ deadLetters }) => deadLetters.length > 0)?.state.id, id)
      await node.submit({ type: 'retry', chapterId: id })

      const [letter, ...others] = await jobs.claimDeadLetters(claimAt(NOW))
      t.strictSame(others, [])
      t.match(letter, {
        jobId: named.jobId,
        kind: 'quiz',
        attempt: 1,
        maxAttempts: 3,
        chapterId: id,
        title: 'dead',
        reason: 'refused',
        error: '거절',
        failedAt: NOW,
        deadlineAt: null,
      })
      t.strictSame(await jobs.claimDeadLetters(claimAt(NOW + 999)), [])
      t.equal((await jobs.claimDeadLetters(claimAt(NOW + 1000))).length, 1)
      await jobs.deleteDeadLetters([letter?.jobId ?? ''])
      t.strictSame(await jobs.claimDeadLetters(claimAt(NOW + 9000)), [])
    })

    await t.test('a chapter that failed twice, with a retry between, owes two letters', async (t) => {
      const id = await node.make()
      for (let run = 0; run < 2; run++) {
        const jobId = (await node.chapters.readChapter(id))?.jobs.quiz.jobId
        await node.submit(failOf(id, 'quiz', { named: { jobId, attempt: 1 }, retryable: false }))
        await node.submit({ type: 'retry', chapterId: id })
      }
      t.equal((await jobs.claimDeadLetters(claimAt(NOW))).length, 2)
    })
  })

async function publish(node: StoreNode, due: Awaited<ReturnType<JobStore['claimDue']>>): Promise<void> {
  await Promise.all(
    due.map(({ chapterId, ...job }) =>
      node.submit({ type: 'published', chapterId, jobs: [{ ...job, publishedAt: NOW }] }),
    ),
  )
}

function jobIdsOf(state: Awaited<ReturnType<StoreNode['chapters']['readChapter']>>): string[] {
  return JOB_KINDS.flatMap((kind) => state?.jobs[kind].jobId ?? [])
}

function shuffled<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
