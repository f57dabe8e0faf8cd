import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import type { ChapterState } from '../../src/domain/chapter.js'
import type { DueJob, JobRef, JobStore, PublishedAttempt } from '../../src/store/jobs.js'
import { POLICY } from '../support/chapters.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import {
  failOf,
  finishOf,
  gate,
  groupsOn,
  nodeOn,
  progressOf,
  query,
  type StoreNode,
} from '../support/node.js'

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

  await node.jobs.hold(due, NOW)
  const unheld = await claim((jobs) => jobs.claimExpiredHolds(claimAt(later, 10)))
  t.equal(new Set(unheld.map(({ jobId }) => jobId)).size, unheld.length, 'expired holds')
  t.equal(unheld.length + (await node.jobs.claimExpiredHolds(claimAt(later))).length, 150)
})

t.test('holds and marks deadlock with no write, in whatever order they name the jobs', async (t) => {
  const url = await postgresUrl(t)
  const holderDatabase = connectPostgres(t, url)
  const [holder, writer] = [nodeOn(holderDatabase), nodeOn(connectPostgres(t, url))]
  const ids = await Promise.all(Array.from({ length: 60 }, () => writer.make()))
  const due = await writer.jobs.claimDue({ now: Date.now() + 60_000, leasedUntil: 0, limit: 500 })
  await publish(writer, due)

  let isDone = false
  const hold = async () => {
    while (!isDone) await holder.jobs.hold(shuffled(due), Date.now() + 9000)
  }
  const mark = async () => {
    while (!isDone) {
      // One row a statement: the test itself must not deadlock.
      for (const { chapterId, kind } of shuffled(due).slice(0, 20))
        await query(
          holderDatabase,
          `update job set status = 'queued', deadline_at = null
             where chapter_id = ${chapterId} and kind = '${kind}' and status = 'published'`,
        )
      await holder.jobs.markPublished(shuffled(due.map((job) => ({ ...job, deadlineAt: NOW }))))
    }
  }
  const write = async () => {
    for (let round = 1; round <= 20; round++)
      await Promise.all(
        shuffled(ids).flatMap((id) => JOB_KINDS.map((kind) => writer.submit(progressOf(id, round, kind)))),
      )
    isDone = true
  }
  await Promise.all([hold(), hold(), mark(), write()])
  const said = await query(
    connectPostgres(t, url, 1),
    'select pg_stat_clear_snapshot(), deadlocks::int from pg_stat_database where datname = current_database()',
  )
  // In spite of `skip locked` PostgreSQL may wait, when a write commits at that moment and the next one has begun.
  t.ok(Number(said[0]?.deadlocks) < 3, `${said[0]?.deadlocks} deadlocks`)
})

t.test('a mark, a hold or an unclaim that PostgreSQL ends for a deadlock is made again', async (t) => {
  const database = connectPostgres(t, await postgresUrl(t))
  const node = nodeOn(database, { now: () => NOW })
  const attempts = attemptsOf(await node.chapters.readChapter(await node.make()))
  await query(database, 'create sequence updates')
  await query(
    database,
    `create function end_first() returns trigger language plpgsql as $$ begin
       if nextval('updates') = 1 then raise exception 'deadlock detected' using errcode = '40P01'; end if;
       return new;
     end $$`,
  )
  await query(
    database,
    'create trigger end_first before update on job for each row execute function end_first()',
  )
  await node.jobs.unclaim(attempts)
  await query(database, 'alter sequence updates restart')
  t.equal(await node.jobs.markPublished(attempts), 3)
  await query(database, 'alter sequence updates restart')
  await node.jobs.hold(attempts, NOW + 9000)
  t.match(await query(database, 'select count(*)::int from job where held_until is not null'), [{ count: 3 }])
})

t.test('a job that a write has locked is not marked, and delays the others no longer', async (t) => {
  const url = await postgresUrl(t)
  const node = nodeOn(connectPostgres(t, url), { now: () => NOW })
  const locker = connectPostgres(t, url, 1)
  const [locked, free] = [await node.make(), await node.make()]
  await query(locker, 'begin')
  await query(locker, `select from job where chapter_id = ${locked} for update`)
  const attempts = [locked, free].map(async (id) => attemptsOf(await node.chapters.readChapter(id)))
  t.equal(await node.jobs.markPublished((await Promise.all(attempts)).flat()), 3)
  t.match((await node.chapters.readChapter(locked))?.jobs.concept, { status: 'queued' })
  t.match((await node.chapters.readChapter(free))?.jobs.concept, { status: 'published' })
  await query(locker, 'rollback')
})

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

    await t.test(
      'a job is leased to whoever made it, and anyone may claim it when the lease has expired',
      async (t) => {
        await node.make()
        t.strictSame(await jobs.claimDue(claimAt(NOW + 499)), [])
        t.equal((await jobs.claimDue(claimAt(NOW + 500))).length, 3)
        t.strictSame(await jobs.claimDue(claimAt(NOW + 1499)), [], 'claimed: leased again')
        t.equal((await jobs.claimDue(claimAt(NOW + 1500, 2))).length, 2, 'and again, no more than asked for')
      },
    )

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
          reason: null,
          error: null,
          revision: 1,
          instruction: null,
          current: null,
        },
      )
    })

    await t.test('claims and marks raise no version, so that they spoil nobody’s write', async (t) => {
      const id = await node.make()
      const due = await jobs.claimDue(claimAt(NOW + 5000))
      await publish(node, due)
      const published = await node.chapters.readChapter(id)
      t.equal(published?.version, 1)
      await jobs.claimOverdue(claimAt(NOW + 700_000))
      await jobs.hold(refsOf(published), NOW)
      await jobs.claimExpiredHolds(claimAt(NOW))
      await jobs.voidLeases(NOW)
      t.strictSame(await node.chapters.readChapter(id), published)
    })

    await t.test(
      'a mark counts for jobs that are queued for that job and attempt, and for no others',
      async (t) => {
        const id = await node.make()
        const [concept, exercise, quiz] = attemptsOf(await node.chapters.readChapter(id))
        if (!concept || !exercise || !quiz) return t.fail('the chapter has three jobs')
        await node.submit(failOf(id, 'exercise', { named: { attempt: 1 }, retryAfterMs: 60_000 }))
        await node.submit({ ...quiz, type: 'start', chapterId: id })
        const before = await node.chapters.readChapter(id)
        const strangers = [
          { ...concept, attempt: 2 },
          { ...concept, jobId: quiz.jobId },
          { ...concept, kind: 'quiz' as const },
          { ...concept, chapterId: id + 1 },
        ]
        t.equal(await jobs.markPublished([...strangers, exercise, quiz]), 0)
        t.strictSame(
          await node.chapters.readChapter(id),
          before,
          'an attempt that is over, and a job that has started',
        )

        t.equal(await jobs.markPublished([exercise, quiz, concept, ...strangers]), 1)
        const marked = { ...before?.jobs.concept, status: 'published', deadlineAt: concept.deadlineAt }
        t.strictSame((await node.chapters.readChapter(id))?.jobs, { ...before?.jobs, concept: marked })
        t.equal(await jobs.markPublished([concept]), 0, 'once')
        t.strictSame(await jobs.claimDue({ ...claimAt(NOW + 5000), limit: 9 }), [], 'it is not sent again')
      },
    )

    await t.test('the mark of a failed, cancelled or completed job changes nothing', async (t) => {
      const id = await node.make()
      const attempts = attemptsOf(await node.chapters.readChapter(id))
      await node.submit(finishOf(id, 'concept'))
      await node.submit(failOf(id, 'exercise', { named: { attempt: 1 }, retryable: false }))
      await node.submit({ type: 'cancel', chapterId: id })
      const before = await node.chapters.readChapter(id)
      t.equal(await jobs.markPublished(attempts), 0)
      t.strictSame(await node.chapters.readChapter(id), before)
    })

    await t.test('a job that was published ends its lease: it may be overdue at once', async (t) => {
      await node.make()
      const due = await jobs.claimDue({ ...claimAt(NOW + 5000), leasedUntil: NOW + 900_000 })
      await publish(node, due)
      t.equal((await jobs.claimOverdue(claimAt(NOW + POLICY.queueTimeoutMs))).length, 3)
    })

    await t.test('a mark that comes while a command is decided is not undone by its write', async (t) => {
      const id = await node.make()
      const [concept] = attemptsOf(await node.chapters.readChapter(id))
      if (!concept) return t.fail('the chapter has jobs')
      const { writeGroup } = node.chapters
      const held = gate()
      const slow = groupsOn(
        {
          readGroup: node.chapters.readGroup,
          async writeGroup(...args) {
            await held.wait()
            return writeGroup(...args)
          },
        },
        { now: () => now },
      )
      // Progress that names no work changes the number of a queued job and nothing else.
      const noted = slow.submit(progressOf(id, 40, 'concept'))
      await held.passed
      t.equal(await jobs.markPublished([concept]), 1)
      held.open()
      t.match(await noted, { status: 'success' })
      const after = await node.chapters.readChapter(id)
      t.match(after?.jobs.concept, { status: 'published', deadlineAt: concept.deadlineAt, progress: 40 })
      t.equal(after?.version, 2, 'it was decided once')
    })

    await t.test('a mark that comes while the next attempt is decided does not count for it', async (t) => {
      const id = await node.make()
      const [concept, exercise] = attemptsOf(await node.chapters.readChapter(id))
      if (!concept || !exercise) return t.fail('the chapter has jobs')
      const { writeGroup } = node.chapters
      const held = gate()
      const slow = groupsOn(
        {
          readGroup: node.chapters.readGroup,
          async writeGroup(...args) {
            await held.wait()
            return writeGroup(...args)
          },
        },
        { now: () => now },
      )
      const commands = [
        slow.submit(failOf(id, 'concept', { named: { attempt: 1 }, retryAfterMs: 1000 })),
        slow.submit({ ...exercise, type: 'start' }),
      ]
      await held.passed
      await jobs.markPublished([concept, exercise])
      held.open()
      await Promise.all(commands)
      const after = await node.chapters.readChapter(id)
      t.match(after?.jobs.concept, { status: 'queued', attempt: 2, deadlineAt: null, dueAt: NOW + 1000 })
      t.equal(after?.jobs.exercise.deadlineAt, NOW + POLICY.timeoutMs, 'a start has its own deadline')
    })

    await t.test(
      'a job that is queued again while a mark of its first sending comes stays queued',
      async (t) => {
        const id = await node.make()
        const [concept] = attemptsOf(await node.chapters.readChapter(id))
        if (!concept) return t.fail('the chapter has jobs')
        await jobs.markPublished([concept])
        now = NOW + 5000
        await node.submit({ ...concept, type: 'hold_expired' })
        t.match((await node.chapters.readChapter(id))?.jobs.concept, { status: 'queued', dueAt: now })
        t.equal((await jobs.claimDue({ ...claimAt(NOW + 20_000), leasedUntil: 0 })).length, 3)
      },
    )

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
        t.strictSame(await jobs.claimExpiredHolds(claimAt(NOW + 99_000)), [], 'nobody ever held them')
        const state = await node.chapters.readChapter(id)
        await jobs.hold(refsOf(state), NOW + 9000)
        t.strictSame(await jobs.claimExpiredHolds(claimAt(NOW + 8999)), [])
        await jobs.hold(
          refsOf(state).filter(({ kind }) => kind === 'quiz'),
          NOW + 20_000,
        )
        const unheld = await jobs.claimExpiredHolds(claimAt(NOW + 9000))
        t.strictSame(unheld.map(({ kind }) => kind).sort(), ['concept', 'exercise'])

        now = NOW + 9000
        for (const attempt of unheld) await node.submit({ type: 'hold_expired', ...attempt })
        const after = await node.chapters.readChapter(id)
        t.match(after?.jobs, {
          concept: { status: 'queued', attempt: 1, jobId: state?.jobs.concept.jobId },
          exercise: { status: 'queued', attempt: 1, jobId: state?.jobs.exercise.jobId },
          quiz: { status: 'published' },
        })
        await publish(node, await jobs.claimDue(claimAt(NOW + 30_000)))
        t.strictSame(await jobs.claimExpiredHolds(claimAt(NOW + 15_000)), [], 'the old hold is forgotten')
      },
    )

    await t.test('where no other process can be, leases and holds left over are void at once', async (t) => {
      const id = await node.make()
      await jobs.claimDue(claimAt(NOW + 500))
      await jobs.voidLeases(NOW + 501)
      const due = await jobs.claimDue(claimAt(NOW + 501))
      t.equal(due.length, 3)
      await publish(node, due)
      t.strictSame(
        await jobs.claimExpiredHolds(claimAt(NOW + 99_000)),
        [],
        'a job without a hold has none to expire',
      )

      const [held, ...others] = refsOf(await node.chapters.readChapter(id))
      if (held === undefined) return t.fail('the chapter has jobs')
      await jobs.hold([held], NOW + 9000)
      await jobs.claimOverdue(claimAt(NOW + DEADLINE_MS))
      await jobs.voidLeases(NOW + 600)
      t.match(await jobs.claimExpiredHolds(claimAt(NOW + 600)), [held])
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
      t.equal(node.told.findLast(({ deadLetters }) => deadLetters.length > 0)?.state.id, id)
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

/** Marks claimed jobs as published at `NOW`. */
async function publish(node: StoreNode, due: DueJob[]): Promise<void> {
  await node.jobs.markPublished(due.map((job) => ({ ...job, deadlineAt: NOW + DEADLINE_MS })))
}

/** As they are marked when they are sent at `NOW`. */
function attemptsOf(state: ChapterState | undefined): PublishedAttempt[] {
  return refsOf(state).map((ref) => ({
    ...ref,
    attempt: state?.jobs[ref.kind].attempt ?? 0,
    deadlineAt: NOW + DEADLINE_MS,
  }))
}

function refsOf(state: ChapterState | undefined): JobRef[] {
  if (state === undefined) return []
  return JOB_KINDS.map((kind) => ({ chapterId: state.id, kind, jobId: state.jobs[kind].jobId }))
}

function shuffled<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
