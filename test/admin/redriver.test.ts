import t from 'tap'
import { createRedriver, REDRIVE_LEASE_MS } from '../../src/admin/redriver.js'
import { createAuditStore } from '../../src/store/audit.js'
import { createFailedJobStore } from '../../src/store/failed-jobs.js'
import { createRedriveStore } from '../../src/store/redrives.js'
import { testClock } from '../support/app.js'
import { waitFor } from '../support/condition.js'
import { postgresDatabase } from '../support/database.js'
import { silentLog } from '../support/log.js'
import { failOf, nodeOn, readLogs } from '../support/node.js'

const NOTHING = { ids: null, maxJobs: null, actor: 'kim', requestId: 'req-1' }

t.test(
  'a node that dies within a batch: another finishes it, starts no job twice and counts each once',
  async (t) => {
    const database = await postgresDatabase(t)
    const clock = testClock()
    const node = nodeOn(database, { now: clock.now })
    const ids: number[] = []
    for (let n = 0; n < 5; n++) {
      const id = await node.make()
      await node.submit(failOf(id, 'quiz', { retryable: false, named: await workOf(id) }))
      ids.push(id)
    }
    async function workOf(id: number) {
      const { jobId = '', attempt = 1 } = (await node.chapters.readChapter(id))?.jobs.quiz ?? {}
      return { jobId, attempt }
    }
    clock.advance(1000)
    const redrives = createRedriveStore(database.db)
    const parts = {
      failed: createFailedJobStore(database.db),
      audit: createAuditStore(database.db),
      now: clock.now,
      pollMs: 5,
      log: silentLog(() => {}),
    }
    const { id } = await redrives.create({ ...NOTHING, filter: {}, ratePerS: 1000, createdAt: clock.now() })

    // It dies after it has started two jobs: nothing of it reaches the database from then on.
    let started = 0
    const dying = createRedriver({
      ...parts,
      redrives: { ...redrives, settle: dead, postpone: dead },
      async submit(command) {
        if (started === 2) return dead()
        started += 1
        return await node.submit(command)
      },
    })
    async function dead(): Promise<never> {
      throw new Error('dead')
    }
    await waitFor(
      'two were started',
      async () => started === 2 && (await redrives.read(id))?.batch?.length === 5,
    )
    await dying.close()
    t.match(await redrives.read(id), { redriven: 0, endedAt: null })

    const other = createRedriver({ ...parts, redrives, submit: node.submit })
    t.teardown(() => other.close())
    clock.advance(REDRIVE_LEASE_MS)
    const done = await waitFor('the other node finishes it', async () => {
      clock.advance(1000)
      const row = await redrives.read(id)
      return row?.endedAt != null && row
    })
    t.match(done, { redriven: 5, skipped: 0, batch: null, isCancelled: false })
    const logs = await readLogs(database)
    for (const chapter of ids) {
      const again = logs.get(chapter)?.filter(({ name }) => name === 'chapter_retrying')
      t.equal(again?.length, 1, 'each was started once')
    }
  },
)

t.test(
  'a redrive that is cancelled while its node is dead starts nothing more, and counts what was done',
  async (t) => {
    const database = await postgresDatabase(t)
    const clock = testClock()
    const node = nodeOn(database, { now: clock.now })
    const refs = []
    for (let n = 0; n < 2; n++) {
      const id = await node.make()
      const jobId = (await node.chapters.readChapter(id))?.jobs.quiz.jobId ?? ''
      await node.submit(failOf(id, 'quiz', { retryable: false, named: { jobId, attempt: 1 } }))
      refs.push({ chapterId: id, kind: 'quiz' as const, jobId })
    }
    const redrives = createRedriveStore(database.db)
    const { id } = await redrives.create({ ...NOTHING, filter: {}, ratePerS: 10, createdAt: clock.now() })
    const leasedUntil = clock.now() + REDRIVE_LEASE_MS
    await redrives.claim(clock.now(), leasedUntil)
    t.ok(await redrives.begin({ id, leasedUntil }, { batch: refs, cursor: null, skipped: 0 }))
    await node.submit({ type: 'retry', chapterId: refs[0]?.chapterId ?? 0 })
    await redrives.cancel(id, clock.now())

    const other = createRedriver({
      failed: createFailedJobStore(database.db),
      audit: createAuditStore(database.db),
      redrives,
      submit: node.submit,
      now: clock.now,
      pollMs: 5,
      log: silentLog(() => {}),
    })
    t.teardown(() => other.close())
    clock.advance(REDRIVE_LEASE_MS)
    await waitFor('the batch is counted', async () => (await redrives.read(id))?.batch === null)
    t.match(await redrives.read(id), { redriven: 1, isCancelled: true })
    t.equal((await node.chapters.readChapter(refs[1]?.chapterId ?? 0))?.jobs.quiz.status, 'failed')
  },
)
