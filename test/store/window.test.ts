/**
 * Places in the window: never more out than it has, whoever claims; owners and kinds in turn.
 */
import t from 'tap'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import type { Database } from '../../src/store/database.js'
import type { DueJob } from '../../src/store/jobs.js'
import { createWindowStore, type PlaceClaim } from '../../src/store/window.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import { failOf, finishOf, nodeOn, progressOf, query } from '../support/node.js'
import { seeded } from '../support/random.js'

const NOW = Date.parse('2026-01-31T09:00:00.000Z')
const OPEN = { all: null, concept: null, exercise: null, quiz: null }

t.test('claims of many nodes at once never exceed the window together, and fill it', async (t) => {
  const url = await postgresUrl(t)
  const databases = Array.from({ length: 3 }, () => connectPostgres(t, url, 4))
  const nodes = databases.map((database) => ({
    ...nodeOn(database, { now: () => NOW, leaseMs: null }),
    window: createWindowStore(database.db),
  }))
  const [first] = nodes
  if (first === undefined) return
  for (let count = 0; count < 60; count++) await first.make({ ownerId: 1 + (count % 3) })
  await first.window.read()
  const WINDOW = 7
  const given = new Set<string>()
  let wins = 0
  let losses = 0
  async function work(node: (typeof nodes)[number]): Promise<void> {
    while (given.size < 180) {
      const { claims } = await node.window.read()
      const claimed = await node.window.claim({
        now: NOW,
        leasedUntil: NOW + 1000,
        limit: 100,
        places: { ...OPEN, all: WINDOW },
        expectedClaims: claims,
        widths: null,
      })
      if (claimed === undefined) losses += 1
      else if (claimed.jobs.length > 0) wins += 1
      for (const job of claimed?.jobs ?? []) {
        t.notOk(given.has(job.jobId), 'given once')
        given.add(job.jobId)
      }
      if (claimed === undefined || claimed.jobs.length === 0) continue
      await node.jobs.markPublished(claimed.jobs.map((job) => ({ ...job, deadlineAt: NOW + 1e6 })))
      for (const { chapterId, kind } of claimed.jobs) await node.submit(finishOf(chapterId, kind))
    }
  }
  let most = 0
  let isOver = false
  const look = async () => {
    while (!isOver) {
      const [row] = await query<{ out: number }>(
        databases[0] as Database,
        `select count(*)::int as out from job where status = 'published' or placed_at is not null and status = 'queued'`,
      )
      most = Math.max(most, row?.out ?? 0)
    }
  }
  const looking = look()
  await Promise.all([...nodes, ...nodes].map(work))
  isOver = true
  await looking
  t.equal(given.size, 180)
  t.ok(most <= WINDOW, `${most} were out at once`)
  t.ok(wins > 0 && losses > 0, `${wins} claims won, ${losses} were too late`)
})

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    let now = NOW
    const node = nodeOn(database, { now: () => now, leaseMs: null })
    const store = createWindowStore(database.db)
    t.beforeEach(async () => {
      now = NOW
      await query(database, 'delete from chapter')
      await query(database, 'delete from generation_window')
    })

    async function claim(
      places: Partial<PlaceClaim['places']>,
      changes: Partial<PlaceClaim> = {},
    ): Promise<DueJob[]> {
      const { claims } = await store.read()
      const taken = await store.claim({
        now,
        leasedUntil: now + 1000,
        limit: 100,
        places: { ...OPEN, ...places },
        expectedClaims: claims,
        widths: null,
        ...changes,
      })
      if (taken === undefined) throw new Error('nobody else claims here')
      return taken.jobs
    }
    const chapterIds = async () =>
      (await query<{ id: string | number }>(database, 'select id from chapter order by id')).map(({ id }) =>
        Number(id),
      )
    const namesOf = (jobs: DueJob[]) => jobs.map(({ ownerId, kind }) => `${ownerId} ${kind}`)
    const publish = (jobs: DueJob[]) =>
      node.jobs.markPublished(jobs.map((job) => ({ ...job, deadlineAt: now + 1e6 })))

    await t.test(
      'jobs wait until they are given a place, and never more than there are places',
      async (t) => {
        await node.make()
        await node.make()
        const first = await claim({ all: 2 })
        t.equal(first.length, 2)
        t.same(await claim({ all: 2 }), [], 'while they are being sent')
        await publish(first)
        t.same(await claim({ all: 2 }), [], 'and while they are with workers')
        t.same(await claim({ all: 1 }), [], 'also when the window grew smaller than what is out')
        await node.submit(finishOf(first[0]?.chapterId ?? 0, first[0]?.kind ?? 'quiz'))
        t.equal((await claim({ all: 2 })).length, 1, 'one ended, one follows')
      },
    )

    await t.test('a claimed job has all that its message says', async (t) => {
      const id = await node.make({ ownerId: 5, title: '제목', metadata: { a: [1] } })
      const [job] = await claim({ all: 1 })
      const state = await node.chapters.readChapter(id)
      t.match(job, {
        chapterId: id,
        ownerId: 5,
        title: '제목',
        metadata: { a: [1] },
        jobId: state?.jobs.concept.jobId,
      })
    })

    await t.test('owners take turns, and kinds within the window that they share', async (t) => {
      for (let count = 0; count < 5; count++) await node.make({ ownerId: 1 })
      await node.make({ ownerId: 2 })
      const given: string[] = []
      for (let count = 0; count < 9; count++) {
        const jobs = await claim({ all: 1 })
        given.push(...namesOf(jobs))
        await publish(jobs)
        for (const { chapterId, kind } of jobs) await node.submit(finishOf(chapterId, kind))
      }
      t.same(given, [
        ...['1 concept', '1 exercise', '1 quiz', '2 concept', '2 exercise', '2 quiz'],
        ...['1 concept', '1 exercise', '1 quiz'],
      ])
    })

    await t.test('many places at once are given in the same order as one after another', async (t) => {
      for (const ownerId of [3, 3, 3, 7, 9, 9]) await node.make({ ownerId })
      t.same(namesOf(await claim({ concept: 1, exercise: 1, quiz: 1 }, { limit: 3 })), [
        ...['3 concept', '3 exercise', '3 quiz'],
      ])
      const order = namesOf(await claim({ concept: 6 })).filter((name) => name.endsWith('concept'))
      t.same(order, ['7 concept', '9 concept', '3 concept', '9 concept', '3 concept'])
    })

    await t.test('an owner’s older chapters come first, a failed attempt of them too', async (t) => {
      const ids = [await node.make(), await node.make(), await node.make()]
      const [job] = await claim({ concept: 1, exercise: 0, quiz: 0 })
      await publish(job ? [job] : [])
      await node.submit(failOf(ids[0] ?? 0, 'concept', { retryAfterMs: 10_000 }))
      t.match(
        await claim({ concept: 1, exercise: 0, quiz: 0 }),
        [{ chapterId: ids[1] }],
        'not before its time',
      )
      now += 10_000
      t.match(await claim({ concept: 2, exercise: 0, quiz: 0 }, { leasedUntil: now + 99_000 }), [
        { chapterId: ids[1], attempt: 1 },
        { chapterId: ids[0], attempt: 2 },
      ])
    })

    await t.test('a window of one kind does not hold up the others', async (t) => {
      for (let count = 0; count < 4; count++) await node.make()
      const jobs = await claim({ quiz: 1, exercise: 2 })
      const count = (kind: JobKind) => jobs.filter((job) => job.kind === kind).length
      t.same(JOB_KINDS.map(count), [4, 2, 1])
      for (let more = 0; more < 4; more++) await node.make()
      const all = await claim({ all: 9, quiz: 3 })
      t.equal(all.length, 2, 'both windows hold')
    })

    await t.test('a job whose sender died keeps its place, and is sent by another', async (t) => {
      await node.make()
      const [job] = await claim({ all: 1 })
      now += 999
      t.same(await claim({ all: 1 }), [])
      now += 1
      t.match(await claim({ all: 1 }), [{ jobId: job?.jobId }])
      t.match(await claim({ all: 2 }), [{ kind: 'exercise' }], 'it had one of the two')
    })

    await t.test('a job that is changed while it is being sent keeps its place', async (t) => {
      const id = await node.make()
      await claim({ all: 1 })
      await node.submit(progressOf(id, 20, 'concept'))
      t.match((await node.chapters.readChapter(id))?.jobs.concept, { status: 'queued', progress: 20 })
      t.same(await claim({ all: 1 }), [])
      await node.submit({ type: 'cancel', chapterId: id })
      await node.make()
      t.equal((await claim({ all: 1 })).length, 1, 'a cancelled one gives it back')
    })

    await t.test(
      'of two claims that read the same row one wins, and the other must read again',
      async (t) => {
        await node.make()
        const { claims } = await store.read()
        const one = { now, leasedUntil: now + 1000, limit: 9, places: { ...OPEN, all: 1 }, widths: null }
        const claimed = await store.claim({ ...one, expectedClaims: claims })
        t.match(claimed, { row: { claims: claims + 1 }, jobs: [{ kind: 'concept' }] })
        t.equal(await store.claim({ ...one, expectedClaims: claims }), undefined)
        t.match(await store.claim({ ...one, expectedClaims: claims + 1 }), {
          row: { claims: claims + 1 },
          jobs: [],
        })
      },
    )

    await t.test('how wide a narrowed window is, all nodes read', async (t) => {
      const widths = { all: { width: 2.5, narrowedAt: now } }
      await claim({ all: 2 }, { widths })
      t.match(await store.read(), { claims: 1, widths })
      await node.make()
      await claim({ all: 2 })
      t.match(await store.read(), { claims: 2, widths }, 'and a claim that says nothing leaves it')
    })

    await t.test('a waiting job tells how many come before it', async (t) => {
      const old = await Promise.all([1, 1, 1, 1, 1].map((ownerId) => node.make({ ownerId })))
      const [first = 0, , , , last = 0] = old.sort((a, b) => a - b)
      const other = await node.make({ ownerId: 2 })
      const before = (id: number, isShared = false) => store.waitingBefore(id, isShared, now)
      t.same(await before(first), { concept: 0, exercise: 0, quiz: 0 })
      t.same(await before(last), { concept: 5, exercise: 5, quiz: 5 }, 'the one of the other owner too')
      t.same(await before(other), { concept: 1, exercise: 1, quiz: 1 })
      t.same(await before(other, true), { concept: 3, exercise: 4, quiz: 5 }, 'three kinds, one window')

      let left = namesOf(await claim({ all: 3 }))
      t.same(left, ['1 concept', '1 exercise', '1 quiz'])
      t.same(await before(first), {}, 'it waits for nothing any more')
      t.same(await before(other, true), { concept: 0, exercise: 1, quiz: 2 })
      t.same(await before(last, true), { concept: 12, exercise: 13, quiz: 14 })
      left = namesOf(await claim({ all: 15 }))
      t.same(await before(last, true), { concept: 0, exercise: 1, quiz: 2 }, String(left))
    })

    await t.test('the numbers are the order in which places are given', async (t) => {
      const { pick } = seeded(7)
      await Promise.all(Array.from({ length: 25 }, () => node.make({ ownerId: pick([1, 2, 3, 4]) })))
      for (const { chapterId, kind } of await claim({ all: 14 })) await node.submit(finishOf(chapterId, kind))
      const told = new Map<string, number>()
      for (const chapterId of await chapterIds())
        for (const [kind, before] of Object.entries(await store.waitingBefore(chapterId, true, now)))
          told.set(`${chapterId} ${kind}`, before)
      const given: string[] = []
      while (given.length < told.size)
        for (const { chapterId, kind } of await claim({ all: 1 })) {
          given.push(`${chapterId} ${kind}`)
          await node.submit(finishOf(chapterId, kind))
        }
      t.equal(given.length, 61)
      t.same(
        given.map((job) => told.get(job)),
        given.map((_, index) => index),
      )
    })

    await t.test('what a node without a window had leased and not sent waits for a place', async (t) => {
      await nodeOn(database, { now: () => now, leaseMs: 1000 }).make()
      t.same(await claim({ all: 3 }), [])
      t.equal(await store.releaseLeased(0, now + 999, 10), 0)
      t.equal(await store.releaseLeased(0, now + 1000, 10), 3)
      t.equal((await claim({ all: 3 })).length, 3)
      t.equal(await store.releaseLeased(0, now + 5000, 10), 0, 'a place is kept')
    })
  })
