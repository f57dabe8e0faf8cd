import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { UnavailableError } from '../../src/errors.js'
import { NEW_CHAPTER } from '../support/chapters.js'
import { finishOf, gate, groupsOn, memoryStore, progressOf } from '../support/node.js'

t.test('a command that comes alone waits for nobody: one read, one write', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  await groups.submit(finishOf(id, 'concept'))
  t.strictSame(
    [store.reads, store.writes],
    [
      [0, 1],
      [1, 1],
    ],
    'a create reads no chapter',
  )
})

t.test('commands that have arrived when a group begins are in it, the first one too', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const ids = await Promise.all(Array.from({ length: 20 }, () => groups.make()))
  t.strictSame(store.writes, [20])
  await Promise.all(ids.map((id) => groups.submit(finishOf(id, 'concept'))))
  t.strictSame(store.writes, [20, 20])
})

t.test(
  'what comes while a group is being written is the next group: one more read and one more write',
  async (t) => {
    const store = memoryStore()
    const groups = groupsOn(store)
    const ids = await Promise.all(Array.from({ length: 50 }, () => groups.make()))
    const held = gate()
    store.beforeWrite = () => held.wait()
    const [readsBefore, writesBefore] = [store.reads.length, store.writes.length]

    const firstOne = groups.submit(finishOf(ids[0] ?? 0, 'quiz'))
    await held.passed
    const rest = ids.flatMap((id) => [
      groups.submit(finishOf(id, 'concept')),
      groups.submit(finishOf(id, 'exercise')),
    ])
    held.open()
    const answers = await Promise.all([firstOne, ...rest])
    t.ok(answers.every(({ status }) => status === 'success'))
    t.strictSame(store.reads.slice(readsBefore), [1, 50], 'a hundred commands, on fifty chapters')
    t.strictSame(store.writes.slice(writesBefore), [1, 50])
  },
)

t.test('right after a group of several, commands that come one by one are one group', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, { limits: { lingerMs: 1_000_000 } })
  await groups.make()
  await groups.make()
  t.strictSame(store.writes, [1, 1], 'before that, none waits')
  await Promise.all([groups.make(), groups.make()])
  const made: Promise<unknown>[] = []
  for (let count = 8; count > 0; count -= 1) {
    made.push(groups.make())
    await nextTurn()
    await nextTurn()
  }
  await Promise.all(made)
  t.strictSame(store.writes, [1, 1, 2, 8])
})

t.test('commands on one chapter in one group see each other’s effect, and are one write', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const other = await groups.make()
  const [, ...answers] = await Promise.all([
    groups.submit(progressOf(other, 1)),
    ...JOB_KINDS.map((kind) => groups.submit(finishOf(id, kind, 'first'))),
    ...JOB_KINDS.map((kind) => groups.submit(finishOf(id, kind, 'second'))),
    groups.submit(progressOf(id, 10)),
  ])
  t.strictSame(
    answers.map(({ status }) => status),
    ['success', 'success', 'success', 'duplicate', 'duplicate', 'duplicate', 'ignored'],
  )
  t.strictSame(
    groups.told.at(-1)?.events.map(({ name }) => name),
    ['concept_completed', 'exercise_completed', 'quiz_completed', 'all_completed'],
  )
})

t.test('a duplicate is not answered before the result that it repeats is stored', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const other = await groups.make()
  const held = gate()
  store.beforeWrite = async (call) => {
    if (call !== 3) return
    await held.wait()
    // Somebody else’s write comes first: this one will not win.
    const chapter = store.chapters.get(id)
    if (chapter !== undefined) chapter.state = { ...chapter.state, version: chapter.state.version + 1 }
  }
  const answered: string[] = []
  void groups.submit(progressOf(other, 1))
  const both = ['first', 'second'].map((mark) =>
    groups.submit(finishOf(id, 'concept', mark)).then(({ status }) => answered.push(`${mark} ${status}`)),
  )
  await held.passed
  t.strictSame(answered, [])
  held.open()
  await Promise.all(both)
  t.strictSame(answered, ['first success', 'second duplicate'])
  const ofChapter = groups.told.filter(({ state }) => state.id === id)
  t.equal(ofChapter.length, 2, 'the create, and one write')
})

t.test('a command that changes nothing is answered without a write', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  await groups.submit(finishOf(id, 'concept'))
  const writes = store.writes.length
  t.match(await groups.submit(finishOf(id, 'concept')), { status: 'duplicate' })
  await t.rejects(groups.submit({ type: 'retry', chapterId: id }), { name: 'WrongStateError' })
  await t.rejects(groups.submit({ type: 'cancel', chapterId: 999 }), { name: 'ChapterNotFoundError' })
  t.equal(store.writes.length, writes)
})

t.test('a group takes no more commands and bytes than its bounds, but always one', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, { limits: { groupCommands: 4, groupBytes: 10_000 } })
  const ids = await Promise.all(Array.from({ length: 10 }, () => groups.make()))
  t.ok(Math.max(...store.writes) <= 4)

  const held = gate()
  store.beforeWrite = () => held.wait()
  const writes = store.writes.length
  const all = [groups.submit(finishOf(ids[9] ?? 0, 'quiz'))]
  await held.passed
  // 4 kB each, then 100 kB each.
  for (const id of ids.slice(0, 4)) all.push(groups.submit(finishOf(id, 'concept', 'x'.repeat(1000))))
  for (const id of ids.slice(0, 2)) all.push(groups.submit(finishOf(id, 'exercise', 'x'.repeat(25_000))))
  held.open()
  await Promise.all(all)
  t.strictSame(store.writes.slice(writes), [1, 2, 2, 1, 1])
})

t.test('more than can wait is refused with a time to come back, until there is room again', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, { limits: { waitingCommands: 5, waitingBytes: 1_000_000 } })
  const id = await groups.make()
  const held = gate()
  store.onRead = () => held.wait()
  const waiting = Array.from({ length: 5 }, (_, i) => groups.submit(progressOf(id, i)))
  const refused = await groups.submit(progressOf(id, 50)).catch((error: unknown) => error)
  t.ok(refused instanceof UnavailableError)
  t.match(refused, { code: 'unavailable', retryable: true, retryAfterS: 1 })
  await t.rejects(groups.create({ chapter: NEW_CHAPTER }), { name: 'UnavailableError' })
  held.open()
  t.ok((await Promise.all(waiting)).every(({ status }) => status === 'success'))
  t.match(await groups.submit(progressOf(id, 50)), { status: 'success' })
})

t.test('the room is counted in bytes too', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, { limits: { waitingBytes: 300_000 } })
  const id = await groups.make()
  const held = gate()
  store.onRead = () => held.wait()
  const waiting = groups.submit(finishOf(id, 'concept', 'x'.repeat(60_000)))
  await t.rejects(groups.submit(finishOf(id, 'exercise', 'x'.repeat(60_000))), { name: 'UnavailableError' })
  const small = groups.submit(finishOf(id, 'exercise', 'small'))
  held.open()
  t.match(await Promise.all([waiting, small]), [{ status: 'success' }, { status: 'success' }])
})

t.test('closing finishes what waits and refuses what comes', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const held = gate()
  store.beforeWrite = () => held.wait()
  const answers = JOB_KINDS.map((kind) => groups.submit(finishOf(id, kind)))
  await held.passed
  const more = groups.submit(progressOf(id, 20))

  let closed = 0
  const closing = [groups.close(), groups.close()].map((close) => close.then(() => closed++))
  await t.rejects(groups.submit(progressOf(id, 30)), { name: 'UnavailableError' })
  t.equal(closed, 0)
  held.open()
  await Promise.all(closing)
  t.match(await Promise.all(answers), [{ status: 'success' }, { status: 'success' }, { status: 'success' }])
  t.match(await more, { status: 'ignored' })
  await groups.close()
})

t.test('closing waits for commands that are tried again', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const failed = gate()
  store.onRead = async (call) => {
    if (call === 2) throw Object.assign(new Error('gone'), { code: 'CONNECTION_CLOSED' })
    if (call === 3) await failed.wait()
  }
  const answer = groups.submit(finishOf(id, 'quiz'))
  const closing = groups.close()
  await failed.passed
  failed.open()
  await closing
  t.match(await answer, { status: 'success' })
})

t.test('a listener that throws after a commit takes no answer away', async (t) => {
  const store = memoryStore()
  const errors: unknown[] = []
  const groups = groupsOn(store, {
    onCommit() {
      throw new Error('deaf')
    },
    onError: (error) => errors.push(error),
  })
  const id = await groups.make()
  t.match(await groups.submit(finishOf(id, 'quiz')), { status: 'success' })
  t.match(errors, [{ message: 'deaf' }, { message: 'deaf' }])
})
