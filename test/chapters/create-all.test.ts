import t from 'tap'
import type { NewChapter } from '../../src/domain/create.js'
import { NEW_CHAPTER } from '../support/chapters.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import {
  checkLogs,
  databaseError,
  groupsOn,
  memoryStore,
  nodeOn,
  progressOf,
  query,
} from '../support/node.js'

const several = (count: number, fields: Partial<NewChapter> = {}) =>
  Array.from({ length: count }, (_, n) => ({ ...NEW_CHAPTER, ...fields, title: `${n}` }))

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    const node = nodeOn(database)
    const chapters = async () =>
      (await query<{ n: number }>(database, 'select count(*)::int as n from chapter'))[0]?.n

    await t.test('chapters of one request are made together, in its order', async (t) => {
      const { chapters: made, isNew } = await node.createAll({ chapters: several(100) })
      t.ok(isNew)
      const titles = await query<{ title: string }>(database, 'select title from chapter order by id')
      t.same(
        titles.map(({ title }) => title),
        several(100).map(({ title }) => title),
      )
      const ids = made.map(({ chapterId }) => chapterId)
      t.same(
        ids,
        [...ids].sort((a, b) => a - b),
      )
      t.match(await query(database, 'select count(*)::int as n from quiz'), [{ n: 300 }])
    })

    await t.test('a value that cannot be stored refuses all of its request and nobody else’s', async (t) => {
      const before = await chapters()
      const bad = several(3)
      bad[1] = { ...NEW_CHAPTER, title: 'a\0b' }
      const [refused, other] = await Promise.allSettled([
        node.createAll({ chapters: bad, idempotency: { key: 'bad', bodyHash: '1' } }),
        node.createAll({ chapters: several(2) }),
      ])
      t.match(refused, { status: 'rejected', reason: { code: 'invalid_request' } })
      t.match(other, { status: 'fulfilled' })
      t.equal(await chapters(), (before ?? 0) + 2)
      const { isNew } = await node.createAll({
        chapters: several(3),
        idempotency: { key: 'bad', bodyHash: '2' },
      })
      t.ok(isNew, 'its key is free')
    })

    await t.test('a key is answered with all of its chapters, also beside others in the group', async (t) => {
      const keyed = { chapters: several(3), idempotency: { key: 'same', bodyHash: '1' } }
      const [one, two, single] = await Promise.all([
        node.createAll(keyed),
        node.createAll(keyed),
        node.create({ chapter: NEW_CHAPTER }),
      ])
      t.ok(single.isNew)
      t.same([one.isNew, two.isNew], [true, false])
      t.same(two.chapters, one.chapters)
      t.same(await node.createAll(keyed), { chapters: one.chapters, isNew: false })
      await t.rejects(node.createAll({ ...keyed, idempotency: { key: 'same', bodyHash: '2' } }), {
        code: 'idempotency_key_reused',
      })
    })
    await checkLogs(t, database, [node])
  })

t.test('the same request sent to two nodes at once, many times, makes one set of chapters', async (t) => {
  const url = await postgresUrl(t)
  const databases = [connectPostgres(t, url), connectPostgres(t, url)]
  const nodes = databases.map((database) => nodeOn(database, { limits: { groupCommands: 5 } }))
  const answers = await Promise.all(
    Array.from({ length: 30 }, async (_, i) => {
      const request = { chapters: several(4), idempotency: { key: `${i % 3}`, bodyHash: '1' } }
      return { key: i % 3, ...(await nodes[i % 2]?.createAll(request)) }
    }),
  )
  for (const key of [0, 1, 2]) {
    const same = answers.filter((answer) => answer.key === key)
    t.equal(same.filter(({ isNew }) => isNew).length, 1)
    for (const { chapters } of same) t.same(chapters, same[0]?.chapters)
  }
  const [database] = databases
  if (database === undefined) return
  t.match(await query(database, 'select count(*)::int as n from chapter'), [{ n: 12 }])
  await checkLogs(t, database, nodes)
})

t.test('a connection lost after the write makes no chapter twice, and each is told once', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store)
  store.afterWrite = (call) => {
    if (call === 1) throw databaseError('08006')
  }
  const { chapters, isNew } = await groups.createAll({ chapters: several(5) })
  t.ok(isNew)
  t.equal(chapters.length, 5)
  t.equal(store.chapters.size, 5)
  t.same(
    groups.told.map(({ state }) => state.id),
    chapters.map(({ chapterId }) => chapterId),
  )
})

t.test('a request for many counts as many: the group after it is not larger for it', async (t) => {
  const store = memoryStore()
  const groups = groupsOn(store, { limits: { groupCommands: 10 } })
  const all = [
    groups.createAll({ chapters: several(9) }),
    groups.createAll({ chapters: several(20) }),
    groups.createAll({ chapters: several(1) }),
    groups.create({ chapter: NEW_CHAPTER }),
  ]
  await Promise.all(all)
  t.same(store.writes, [9, 20, 2])
  const [first] = [...store.chapters.keys()]
  await groups.submit(progressOf(first ?? 0, 5))
  t.equal(groups.told.at(-1)?.before?.progress, 0, 'who is told also hears what was before')
})
