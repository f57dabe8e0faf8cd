import t from 'tap'
import { ChapterNotFoundError } from '../../src/errors.js'
import { databaseError, finishOf, groupsOn, memoryStore, progressOf } from '../support/node.js'

t.test('what comes with a delete is decided before it, or finds no chapter', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const [before, gone, after, again] = await Promise.allSettled([
    groups.submit(finishOf(id, 'quiz')),
    groups.submit({ type: 'delete', chapterId: id }),
    groups.submit(progressOf(id, 10)),
    groups.submit({ type: 'delete', chapterId: id }),
  ])
  t.match(before, { status: 'fulfilled', value: { status: 'success' } })
  t.match(gone, { status: 'fulfilled' })
  for (const late of [after, again])
    t.ok(late.status === 'rejected' && late.reason instanceof ChapterNotFoundError)
  t.equal(store.chapters.size, 0)
  const told = groups.told.at(-1)
  t.match(told, { isDeleted: true, events: [], dueKinds: [] })
})

t.test('a delete whose answer was lost has happened, and is told once', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const id = await groups.make()
  const other = await groups.make()
  store.afterWrite = () => {
    store.afterWrite = () => {}
    throw databaseError('CONNECTION_CLOSED')
  }
  const deleted = groups.submit({ type: 'delete', chapterId: id })
  const progress = groups.submit(progressOf(other, 10))
  t.equal(await deleted, undefined)
  t.match(await progress, { status: 'success' })
  t.equal(groups.told.filter(({ isDeleted }) => isDeleted).length, 1)
})

t.test('a chapter is not taken for deleted because nobody asked for it', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  const [id, other] = [await groups.make(), await groups.make()]
  store.beforeWrite = () => {
    store.beforeWrite = () => {}
    throw databaseError('CONNECTION_CLOSED')
  }
  const deleted = groups.submit({ type: 'delete', chapterId: id })
  for (let n = 0; n < 5; n += 1) await groups.submit(progressOf(other, 10 + n))
  await deleted
  t.equal(groups.told.filter(({ isDeleted }) => isDeleted).length, 1)
  t.notOk(store.chapters.has(id), 'it was not deleted at first, and then it was')
})
