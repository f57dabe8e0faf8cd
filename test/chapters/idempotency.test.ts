import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { NEW_CHAPTER } from '../support/chapters.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import { checkLogs, gate, groupsOn, memoryStore, nodeOn, query } from '../support/node.js'

t.test('the same request sent to two nodes at once, many times, makes one chapter', async (t) => {
  const url = await postgresUrl(t)
  const databases = [connectPostgres(t, url), connectPostgres(t, url)]
  const nodes = databases.map((database) => nodeOn(database, { limits: { groupCommands: 5 } }))
  const keys = ['a', 'b', 'c', 'd']
  const answers = await Promise.all(
    Array.from({ length: 80 }, async (_, i) => {
      // In another order on the other node: whoever waits for a key must not keep one that is waited for.
      const turn = Math.floor(i / 2) % 4
      const key = keys[i % 2 ? turn : 3 - turn] ?? ''
      const request = { chapter: NEW_CHAPTER, idempotency: { key, bodyHash: '1' } }
      const answer = await nodes[i % 2]?.create(request)
      return { key, ...answer }
    }),
  )
  for (const key of keys) {
    const same = answers.filter((answer) => answer.key === key)
    t.equal(same.length, 20)
    t.equal(same.filter(({ isNew }) => isNew).length, 1, `${key}: one of them made it`)
    const [first] = same
    t.ok(
      same.every(({ chapter }) => isDeepStrictEqual(chapter, first?.chapter)),
      `${key}: all were answered the same`,
    )
  }
  const [database] = databases
  if (database === undefined) return
  t.match(await query(database, 'select count(*)::int as n from chapter'), [{ n: 4 }])
  t.match(await query(database, 'select count(*)::int as n from job'), [{ n: 12 }], 'and no work twice')
  await checkLogs(t, database, nodes)
})

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    const node = nodeOn(database)
    const create = (key: string, bodyHash = '1', ownerId = 1) =>
      node.create({ chapter: { ...NEW_CHAPTER, ownerId }, idempotency: { key, bodyHash } })

    await t.test('a key with another body is refused, and the chapter stays as it is', async (t) => {
      const { chapter } = await create('key')
      await t.rejects(create('key', '2'), { code: 'idempotency_key_reused', statusCode: 422 })
      t.strictSame(await create('key'), { chapter, isNew: false })
    })

    await t.test('a key belongs to its owner', async (t) => {
      const [mine, theirs] = await Promise.all([create('shared', '1', 1), create('shared', '2', 2)])
      t.ok(mine.isNew && theirs.isNew)
      t.not(mine.chapter.chapterId, theirs.chapter.chapterId)
    })

    await t.test('equal keys in one group are one chapter, whatever else is in it', async (t) => {
      const [, first, again, other, plain] = await Promise.allSettled([
        node.create({ chapter: NEW_CHAPTER }),
        create('group'),
        create('group'),
        create('group', '2'),
        node.create({ chapter: NEW_CHAPTER }),
      ])
      t.match(first, { value: { isNew: true } })
      t.match(other, { reason: { code: 'idempotency_key_reused' } })
      t.match(plain, { value: { isNew: true } })
      if (first?.status !== 'fulfilled' || again?.status !== 'fulfilled') return t.fail('both are answered')
      t.strictSame(again.value, { chapter: first.value.chapter, isNew: false })
    })

    await t.test('odd keys are kept apart: case, spaces, quotes, Hangul', async (t) => {
      const keys = ['k', 'K', ' k', 'k ', '"k"', "k'--", '\\u0041', 'A', '키', '1 k', '😀'.repeat(100)]
      const answers = await Promise.all(keys.map((key) => create(key)))
      t.equal(new Set(answers.map(({ chapter }) => chapter.chapterId)).size, keys.length)
      t.ok((await Promise.all(keys.map((key) => create(key)))).every(({ isNew }) => !isNew))
    })

    await checkLogs(t, database, [node])
  })

t.test('a key taken while its create was being written gives the chapter that took it', async (t) => {
  const store = memoryStore()
  const [here, there] = [groupsOn(store), groupsOn(store)]
  const request = { chapter: NEW_CHAPTER, idempotency: { key: 'key', bodyHash: '1' } }
  const held = gate()
  store.beforeWrite = (call) => (call === 1 ? held.wait() : undefined)
  const slow = here.create(request)
  await held.passed
  const quick = await there.create(request)
  held.open()
  t.strictSame(await slow, { ...quick, isNew: false })
  t.equal(store.chapters.size, 1)
})
