import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import type { Locale } from '../../src/contract/scalar.js'
import type { ChapterCommand } from '../../src/domain/command.js'
import { UnavailableError } from '../../src/errors.js'
import { NEW_CHAPTER } from '../support/chapters.js'
import { DATABASES } from '../support/database.js'
import {
  checkLogs,
  databaseError,
  finishOf,
  gate,
  groupsOn,
  memoryStore,
  nodeOn,
  progressOf,
  query,
  type TestGroups,
} from '../support/node.js'

const LOST = databaseError('CONNECTION_CLOSED')

t.test('a connection lost before the write: the command is done on the next one', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  store.beforeWrite = (call) => {
    if (call === 2) throw LOST
  }
  t.match(await groups.submit(finishOf(id, 'concept')), { status: 'success' })
  t.strictSame(toldOf(groups, id), [...CREATED, 'concept_completed'])
})

t.test('a connection lost before the read costs nothing but time', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  store.onRead = (call) => {
    if (call === 2 || call === 3) throw LOST
  }
  t.match(await groups.submit(finishOf(id, 'concept')), { status: 'success' })
})

t.test('a connection lost after the write: what it did is found, answered and told once', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const other = await groups.make()
  store.afterWrite = (call) => {
    if (call === 3) throw LOST
  }
  const [, ...answers] = await Promise.all([
    groups.submit(progressOf(other, 1)),
    ...JOB_KINDS.map((kind) => groups.submit(finishOf(id, kind, 'first'))),
    groups.submit(finishOf(id, 'quiz', 'second')),
    groups.submit({ type: 'retry', chapterId: id }).catch((error: Error) => ({ status: error.name })),
  ])
  t.strictSame(
    answers.map(({ status }) => status),
    ['success', 'success', 'success', 'duplicate', 'WrongStateError'],
  )
  t.strictSame(toldOf(groups, id), [
    ...CREATED,
    'concept_completed',
    'exercise_completed',
    'quiz_completed',
    'all_completed',
  ])
  t.equal(store.writes.length, 3, 'nothing was written again')
})

t.test('a command that comes before the lost one is looked for hides nothing of it', async (t) => {
  const store = memoryStore()
  // The lost one waits; what comes meanwhile does not.
  const waits = [0.3]
  const groups = groupsOn(store, { random: () => waits.shift() ?? 0 })
  const id = await groups.make()
  const written = gate()
  store.afterWrite = async () => {
    store.afterWrite = () => {}
    await written.wait()
    throw LOST
  }
  const lost = groups.submit(finishOf(id, 'concept'))
  await written.passed
  written.open()
  const next = groups.submit(finishOf(id, 'exercise'))
  t.match(await next, { status: 'success' })
  t.match(await lost, { status: 'success' })
  t.strictSame(toldOf(groups, id), [...CREATED, 'concept_completed', 'exercise_completed'])
})

t.test('a write that lands after its outcome was asked for is found all the same', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const write = store.writeGroup
  let land: (() => Promise<unknown>) | undefined
  store.writeGroup = async (...group) => {
    if (land === undefined) {
      land = () => write(...group)
      throw LOST
    }
    // The first one was under way all the time, and comes just before the second.
    await land()
    store.writeGroup = write
    return write(...group)
  }
  t.match(await groups.submit(finishOf(id, 'concept')), { status: 'success' })
  t.strictSame(toldOf(groups, id), [...CREATED, 'concept_completed'])
})

t.test('a create whose connection is lost makes one chapter, answered as new and told once', async (t) => {
  for (const when of ['beforeWrite', 'afterWrite'] as const) {
    const store = memoryStore()
    const groups = groupsOn(store)
    store[when] = (call) => {
      if (call === 1) throw LOST
    }
    const { chapter, isNew } = await groups.create({ chapter: NEW_CHAPTER })
    t.ok(isNew, when)
    t.strictSame([...store.chapters.keys()], [chapter.chapterId])
    t.strictSame(toldOf(groups, chapter.chapterId), CREATED)
    t.strictSame(groups.told[0]?.dueKinds, JOB_KINDS, 'its jobs are offered')
  }
})

t.test('a create that lands late makes no second chapter', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const write = store.writeGroup
  let land: (() => Promise<unknown>) | undefined
  store.writeGroup = async (...group) => {
    if (land === undefined) {
      land = () => write(...group)
      throw LOST
    }
    await land()
    throw databaseError('23505', 'duplicate key value violates unique constraint "chapter_create_id"')
  }
  const { chapter, isNew } = await groups.create({ chapter: NEW_CHAPTER })
  t.ok(isNew)
  t.strictSame([...store.chapters.keys()], [chapter.chapterId])
  t.strictSame(toldOf(groups, chapter.chapterId), CREATED)
})

t.test('a group that was rolled back for somebody else’s sake is written again', async (t) => {
  for (const code of ['40001', '40P01', '55P03']) {
    const store = memoryStore()
    const groups = groupsOn(store)
    const id = await groups.make()
    store.beforeWrite = (call) => {
      if (call < 5) throw databaseError(code)
    }
    t.match(await groups.submit(finishOf(id, 'quiz')), { status: 'success' }, code)
  }
})

t.test('a database that stays away is not waited for: come back later', async (t) => {
  for (const [code, tries] of [
    ['ECONNREFUSED', 6],
    ['57P01', 6],
    ['40001', 9],
  ] as const) {
    const store = memoryStore()
    const groups = groupsOn(store)
    const id = await groups.make()
    const reads = store.reads.length
    store.onRead = () => {
      throw databaseError(code)
    }
    const error = await groups.submit(finishOf(id, 'quiz')).catch((error: unknown) => error)
    t.ok(error instanceof UnavailableError, code)
    t.match(error, { retryable: true, cause: { code }, retryAfterS: 1 })
    t.equal(store.reads.length - reads, tries)
    store.onRead = () => {}
    t.match(await groups.submit(finishOf(id, 'quiz')), { status: 'success' }, 'and it works when it is back')
  }
})

t.test('an error that nobody expected is that command’s alone', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const ids = await Promise.all([1, 2, 3, 4].map(() => groups.make()))
  const write = store.writeGroup
  store.writeGroup = async (writes, ...rest) => {
    if (writes.some(({ state }) => state.id === ids[2])) throw new TypeError('a mistake of ours')
    return write(writes, ...rest)
  }
  const settled = await Promise.allSettled(ids.map((id) => groups.submit(finishOf(id, 'quiz'))))
  t.match(settled, [
    { value: { status: 'success' } },
    { value: { status: 'success' } },
    { reason: { message: 'a mistake of ours' } },
    { value: { status: 'success' } },
  ])
})

t.test('a decision that throws is that command’s alone', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const nonsense = { type: 'hold_expired', chapterId: id, kind: 'poem', jobId: '', attempt: 1 } as unknown
  const [, ...settled] = await Promise.allSettled([
    groups.make(),
    groups.submit(finishOf(id, 'concept')),
    groups.submit(nonsense as ChapterCommand),
    groups.make({ locale: 'xx' as Locale }),
    groups.submit(finishOf(id, 'exercise')),
    groups.make(),
  ])
  t.strictSame(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled', 'fulfilled'],
  )
  await groups.close()
})

for (const [name, open] of Object.entries(DATABASES))
  t.test(`${name}: a value that cannot be stored harms neither other chapters nor its own`, async (t) => {
    const database = await open(t)
    const node = nodeOn(database)
    const ids = await Promise.all([1, 2, 3].map(() => node.make()))
    const [own = 0, beside = 0, far = 0] = ids
    const poisoned: ChapterCommand[] = [
      finishOf(own, 'concept', 'a NUL \0'),
      finishOf(beside, 'quiz', 'a NUL \0'),
      progressOf(own, Number.NaN, 'exercise'),
      finishOf(beside, 'exercise', 'half a pair \ud800'),
    ]
    const healthy: ChapterCommand[] = [
      ...JOB_KINDS.map((kind) => finishOf(own, kind, 'good')),
      finishOf(beside, 'concept', 'good'),
      progressOf(far, 10),
    ]
    const all = [finishOf(far, 'quiz', 'good'), ...poisoned, ...healthy].map((command) =>
      node.submit(command),
    )
    const poisonedCreate = node.create({
      chapter: NEW_CHAPTER,
      idempotency: { key: 'NUL \0', bodyHash: '1' },
    })
    const created = node.create({ chapter: NEW_CHAPTER, idempotency: { key: 'good', bodyHash: '1' } })
    const [refused, settled] = await Promise.all([
      poisonedCreate.catch((error: unknown) => error),
      Promise.allSettled(all),
    ])
    t.match(refused, { code: 'invalid_request' })
    t.match(
      settled.slice(1, 5),
      poisoned.map(() => ({ reason: { code: 'invalid_request' } })),
    )
    t.match(
      [settled[0], ...settled.slice(5)],
      [1, 2, 3, 4, 5, 6].map(() => ({ value: { status: 'success' } })),
    )
    t.match(await created, { isNew: true })
    await checkLogs(t, database, [node])
    t.match(await query(database, `select title from concept where chapter_id = ${own}`), [{ title: 'good' }])
    t.equal(node.errors.length, 5, 'each is reported')
  })

const CREATED = ['chapter_processing_started', 'concept_processing', 'exercise_processing', 'quiz_processing']

function toldOf(groups: TestGroups, chapterId: number): string[] {
  const events = groups.told.filter(({ state }) => state.id === chapterId).flatMap(({ events }) => events)
  return events.map(({ name }) => name)
}

t.test('a create that was decided twice is answered with the chapter that exists', async (t) => {
  const store = memoryStore()
  // The first write never arrives; the second does, but its answer is lost.
  store.beforeWrite = (call) => {
    if (call === 1) throw databaseError('ECONNRESET')
  }
  store.afterWrite = (call) => {
    if (call === 2) throw databaseError('ECONNRESET')
  }
  const groups = groupsOn(store)
  const { chapter } = await groups.create({ chapter: NEW_CHAPTER })
  t.strictSame([...store.chapters.keys()], [chapter.chapterId])
  t.strictSame(
    groups.told.map(({ state }) => state.id),
    [chapter.chapterId],
    'nobody is told of a chapter that does not exist',
  )
})
