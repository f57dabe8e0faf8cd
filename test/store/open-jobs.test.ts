import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createOpenJobStore } from '../../src/store/open-jobs.js'
import { DATABASES } from '../support/database.js'
import { finishOf, nodeOn, progressOf, query } from '../support/node.js'

const NOW = Date.parse('2026-01-31T09:00:00.000Z')
const HOLD_MS = 9000

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    const node = nodeOn(database, { now: () => NOW, leaseMs: 0 })
    const store = createOpenJobStore(database.db)
    const claim = () => node.jobs.claimDue({ now: NOW, leasedUntil: NOW + 15_000, limit: 100 })
    const take = async () => {
      const due = (await claim()).map((job) => ({ ...job, deadlineAt: NOW + 60_000 }))
      return { due, taken: await store.take(due, NOW + HOLD_MS) }
    }
    const expired = (now: number) =>
      node.jobs.claimExpiredHolds({ now, leasedUntil: now + 1000, limit: 100 }).then((list) => list.length)
    t.beforeEach(async () => {
      await query(database, 'delete from chapter')
    })

    await t.test('what is taken is published and held in one step, and taken once', async (t) => {
      const id = await node.make()
      const { due, taken } = await take()
      t.equal(taken.size, 3)
      const state = await node.chapters.readChapter(id)
      for (const kind of JOB_KINDS)
        t.match(state?.jobs[kind], { status: 'published', deadlineAt: NOW + 60_000 })
      t.equal((await store.take(due, NOW)).size, 0, 'nobody else takes it')
      t.equal(await expired(NOW + HOLD_MS - 1), 0)
      t.equal(await expired(NOW + HOLD_MS), 3)
    })

    await t.test('what was cancelled or finished after its claim is not taken', async (t) => {
      const id = await node.make()
      const due = (await claim()).map((job) => ({ ...job, deadlineAt: NOW }))
      await node.submit(finishOf(id, 'concept'))
      t.equal((await store.take(due, NOW)).size, 2)
      const other = await node.make()
      const late = (await claim()).map((job) => ({ ...job, deadlineAt: NOW }))
      await node.submit({ type: 'cancel', chapterId: other })
      t.equal((await store.take(late, NOW)).size, 0)
    })

    await t.test('a renewal tells which attempts nobody wants any more', async (t) => {
      const id = await node.make()
      const { due } = await take()
      t.same(await store.renew(due, NOW + 2 * HOLD_MS), [])
      t.equal(await expired(NOW + HOLD_MS), 0)
      await node.submit(finishOf(id, 'concept'))
      t.match(await store.renew(due, NOW + HOLD_MS), [{ kind: 'concept' }])
      const [quiz] = due.filter(({ kind }) => kind === 'quiz')
      if (quiz === undefined) return t.fail('there is a quiz')
      t.match(await store.renew([{ ...quiz, attempt: 2 }], NOW), [{ kind: 'quiz', attempt: 2 }])
      await node.submit({ type: 'hold_expired', ...quiz, dueAt: NOW + 1000 })
      t.same(await store.renew([quiz], NOW + HOLD_MS), [], 'one that is queued again may still be answered')
      await query(database, `delete from chapter where id = ${id}`)
      t.equal((await store.renew(due, NOW)).length, 3, 'a chapter that is gone')
    })

    await t.test('what is let go stays out, is held by nobody, and is not held again', async (t) => {
      const id = await node.make()
      const { due } = await take()
      for (const job of due) t.equal(await store.letGo(job, NOW + 70_000), true)
      await store.renew(due, NOW + HOLD_MS)
      t.equal(await expired(NOW + 10 * HOLD_MS), 0)
      const state = await node.chapters.readChapter(id)
      for (const kind of JOB_KINDS)
        t.match(state?.jobs[kind], { status: 'published', deadlineAt: NOW + 70_000 })
    })

    await t.test('a worker that was heard keeps its deadline; one that was not keeps its hold', async (t) => {
      const id = await node.make()
      const { due } = await take()
      await node.submit(progressOf(id, 10, 'concept'))
      const deadlineAt = (await node.chapters.readChapter(id))?.jobs.concept.deadlineAt
      const heard = await Promise.all(due.map((job) => store.letGo(job, null, NOW)))
      t.same(
        due.filter((_job, index) => heard[index]).map(({ kind }) => kind),
        ['concept'],
      )
      const [concept] = due.filter(({ kind }) => kind === 'concept')
      if (concept !== undefined) await store.letGo(concept, NOW + 1)
      t.equal((await node.chapters.readChapter(id))?.jobs.concept.deadlineAt, deadlineAt)
      t.equal(await expired(NOW + HOLD_MS), 2)
    })

    await t.test('what is left alone may be claimed when its time is over', async (t) => {
      await node.make()
      const due = await claim()
      await store.leave(due, NOW + 500)
      t.equal((await claim()).length, 0)
      const later = await node.jobs.claimDue({ now: NOW + 500, leasedUntil: NOW + 501, limit: 100 })
      t.equal(later.length, 3)
    })
  })
