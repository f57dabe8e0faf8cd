import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { DATABASES } from '../support/database.js'
import {
  databaseError,
  failOf,
  finishOf,
  groupsOn,
  memoryStore,
  nodeOn,
  progressOf,
} from '../support/node.js'

const REMEMBER = { limits: { rememberedLength: 1_000_000 } }

t.test('a finish of a chapter that this node wrote last costs one round trip', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, REMEMBER)
  const id = await groups.make()
  for (const kind of JOB_KINDS) t.match(await groups.submit(finishOf(id, kind)), { status: 'success' })
  t.equal(store.reads.length, 1, 'the create’s')
  t.equal(store.writes.length, 4)
  t.match(groups.told.at(-1)?.events.at(-1), { name: 'all_completed' })
})

t.test('a finish of a chapter that another node wrote meanwhile costs two', async (t) => {
  const store = memoryStore()
  const [a, b] = [groupsOn(store, REMEMBER), groupsOn(store, REMEMBER)]
  const id = await a.make()
  await b.submit(finishOf(id, 'concept'))
  const before = { reads: store.reads.length, writes: store.writes.length }
  t.match(await a.submit(finishOf(id, 'quiz')), { status: 'success' })
  t.equal(store.reads.length, before.reads)
  t.equal(store.writes.length, before.writes + 2)
  t.equal(store.chapters.get(id)?.state.lastSeq, 6, 'and leaves no hole')
})

t.test('a repeat, a late finish and a chapter that is gone are answered by what is stored', async (t) => {
  const store = memoryStore()
  const [a, b] = [groupsOn(store, REMEMBER), groupsOn(store, REMEMBER)]
  const id = await a.make()
  await b.submit({ type: 'cancel', chapterId: id })
  t.match(await a.submit(finishOf(id, 'concept')), { status: 'ignored' })
  const other = await a.make()
  await b.submit(finishOf(other, 'concept'))
  t.match(await a.submit(finishOf(other, 'concept')), { status: 'duplicate' })
  const deleted = await a.make()
  store.chapters.delete(deleted)
  await t.rejects(a.submit(finishOf(deleted, 'concept')), { code: 'chapter_not_found' })
})

t.test('what changes nothing is read again before it is answered', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, REMEMBER)
  const id = await groups.make()
  await groups.submit(finishOf(id, 'concept'))
  const stored = store.chapters.get(id)
  if (stored === undefined) throw new Error('no chapter')
  // The database was restored to where the concept was still to come.
  const { concept } = stored.state.jobs
  const jobs = { ...stored.state.jobs, concept: { ...concept, status: 'published' as const, deadlineAt: 1 } }
  store.chapters.set(id, { ...stored, state: { ...stored.state, jobs } })
  t.match(await groups.submit(finishOf(id, 'concept')), { status: 'success' }, 'no duplicate')
})

t.test('two of the same finish in one group are one result', async (t) => {
  const store = memoryStore()
  const [a, b] = [groupsOn(store, REMEMBER), groupsOn(store, REMEMBER)]
  const id = await a.make()
  await b.submit(progressOf(id, 10))
  const answers = await Promise.all([1, 2, 3].map(() => a.submit(finishOf(id, 'quiz'))))
  t.strictSame(answers.map(({ status }) => status).sort(), ['duplicate', 'duplicate', 'success'])
})

t.test('after a write whose outcome is unknown the chapter is read', async (t) => {
  for (const when of ['beforeWrite', 'afterWrite'] as const) {
    const store = memoryStore()
    const groups = groupsOn(store, REMEMBER)
    const id = await groups.make()
    store[when] = (call) => {
      if (call === 2) throw databaseError('CONNECTION_CLOSED')
    }
    t.match(await groups.submit(finishOf(id, 'concept')), { status: 'success' }, when)
    t.equal(store.reads.length, 2)
    t.equal(groups.told.filter(({ state }) => state.id === id).length, 2, 'and told once')
  }
})

t.test('only finishes are decided without a read', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, REMEMBER)
  const id = await groups.make()
  await groups.submit(progressOf(id, 10))
  await groups.submit(failOf(id, 'quiz'))
  t.equal(store.reads.length, 3)
  await Promise.all([groups.submit(finishOf(id, 'concept')), groups.submit(progressOf(id, 20))])
  t.equal(store.reads.length, 4, 'nor beside another command on the chapter')
})

t.test('what is remembered is bounded, and ended chapters are not', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, { limits: { rememberedLength: 5000 } })
  const ids = [await groups.make(), await groups.make(), await groups.make()]
  const reads = store.reads.length
  for (const id of ids.reverse()) await groups.submit(finishOf(id, 'concept'))
  t.equal(store.reads.length, reads + 1, 'the oldest had to be read')
})

for (const [name, open] of Object.entries(DATABASES))
  t.test(`${name}: nodes that take turns in one chapter lose nothing`, async (t) => {
    const database = await open(t)
    const nodes = [nodeOn(database), nodeOn(database), nodeOn(database)] as const
    const ids = await Promise.all(Array.from({ length: 20 }, (_, i) => nodes[i % 3 === 0 ? 0 : 1].make()))
    const answers = await Promise.all(
      ids.flatMap((id) => JOB_KINDS.flatMap((kind) => nodes.map((node) => node.submit(finishOf(id, kind))))),
    )
    t.equal(answers.filter(({ status }) => status === 'success').length, 60)
    t.equal(answers.filter(({ status }) => status === 'duplicate').length, 120)
    for (const id of ids)
      t.match(await nodes[0].chapters.readChapter(id), { status: 'completed', lastSeq: 8 })
  })

t.test('a chapter of a restored database is not taken for the one that was remembered', async (t) => {
  const open = Object.values(DATABASES)[0]
  if (open === undefined) throw new Error('no database')
  const database = await open(t)
  const [a, b] = [nodeOn(database), nodeOn(database)]
  const id = await a.make()
  const before = await a.chapters.readChapter(id)
  if (before === undefined) throw new Error('no chapter')
  const write = {
    ...{ before, state: before, changedKinds: [], events: [], results: [] },
    ...{ deadLetters: [], attempts: [], revisions: [], isDeleted: false },
  }
  // The same version by another write: as after a restore that went back and on again.
  await b.chapters.writeGroup(
    [{ ...write, expectedVersion: before.version }],
    '00000000-0000-4000-8000-000000000001',
    0,
  )
  const stale = { ...write, expectedVersion: before.version }
  const { written, moved } = await a.chapters.writeGroup(
    [{ ...stale, expectedWriteId: '00000000-0000-4000-8000-000000000002' }],
    '00000000-0000-4000-8000-000000000003',
    0,
  )
  t.equal(written.size, 0)
  t.match(moved.get(id), { writeId: '00000000-0000-4000-8000-000000000001' })
})
