import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { type Database, PLANNING } from '../../src/store/database.js'
import type { Db } from '../../src/store/prepared.js'
import { NEW_CHAPTER } from '../support/chapters.js'
import { postgresUrl } from '../support/database.js'
import {
  databaseError,
  failOf,
  finishOf,
  groupsOn,
  memoryStore,
  nodeOn,
  progressOf,
} from '../support/node.js'

const TABLES = [
  ...['chapter', 'concept', 'exercise', 'quiz', 'job', 'event'],
  ...['dead_letter', 'idempotency_key', 'session_room', 'attempt', 'revision'],
]
/** What a chapter’s state is made of. */
const STATE = ['chapter', 'concept', 'exercise', 'job']

t.test('a group pays for what its commands need, and for nothing else', async (t) => {
  const { node, elsewhere, tablesOf } = await watchedNode(t)
  const ids = { plain: 0, keyed: 0 }
  const idempotency = { key: 'key', bodyHash: 'hash' }
  const create = ['chapter', 'concept', 'exercise', 'quiz', 'job', 'event', 'idempotency_key']
  await t.test('a create without an idempotency key', async (t) => {
    const used = await tablesOf(async () => {
      ids.plain = await node.make()
    })
    t.strictSame(used, [[], create])
  })
  await t.test('a create with a key', async (t) => {
    const used = await tablesOf(async () => {
      ids.keyed = (await node.create({ chapter: NEW_CHAPTER, idempotency })).chapter.chapterId
    })
    t.strictSame(used, [['chapter', 'concept', 'exercise', 'quiz', 'idempotency_key'], create])
  })
  const id = ids.plain
  for (const kind of JOB_KINDS)
    await t.test(`a finish of the ${kind}, of a chapter that this node wrote`, async (t) => {
      const used = await tablesOf(() => node.submit(finishOf(id, kind)))
      t.strictSame(used, [['chapter', kind, 'job', 'event']])
    })
  await t.test('a duplicate writes nothing', async (t) => {
    t.strictSame(await tablesOf(() => node.submit(finishOf(id, 'quiz'))), [STATE])
  })
  await t.test('a finish of a chapter that another node wrote', async (t) => {
    const other = await elsewhere.make()
    const used = await tablesOf(() => node.submit(finishOf(other, 'quiz')))
    t.strictSame(used, [STATE, ['chapter', 'quiz', 'job', 'event']])
  })
  await t.test('progress that starts nothing', async (t) => {
    const used = await tablesOf(() => node.submit(progressOf(ids.keyed, 10)))
    t.strictSame(used, [STATE, ['chapter']])
  })
  await t.test('a failure for good owes a letter', async (t) => {
    const { jobId } = (await node.chapters.readChapter(ids.keyed))?.jobs.quiz ?? {}
    const fail = failOf(ids.keyed, 'quiz', { named: { jobId, attempt: 1 }, retryable: false })
    const used = await tablesOf(() => node.submit(fail))
    t.strictSame(used, [STATE, ['chapter', 'job', 'event', 'dead_letter', 'attempt']])
  })
  await t.test('what is written again, and then finished', async (t) => {
    const regenerate = { type: 'regenerate', chapterId: id, kind: 'exercise', instruction: null } as const
    const [read, write] = await tablesOf(() => node.submit(regenerate))
    t.strictSame(read, STATE)
    t.ok(write?.includes('revision') && write.includes('attempt'))
    const used = await tablesOf(() => node.submit(finishOf(id, 'exercise')))
    t.strictSame(used, [['chapter', 'exercise', 'job', 'event']], 'as for the first time')
  })
  await t.test('all of it at once is still one read and one write', async (t) => {
    const used = await tablesOf(() =>
      Promise.all([
        node.submit(progressOf(ids.keyed, 20)),
        node.submit(finishOf(ids.keyed, 'concept')),
        node.create({ chapter: NEW_CHAPTER, idempotency: { key: 'other', bodyHash: 'hash' } }),
        node.make(),
      ]),
    )
    t.ok(used.length <= 4, 'of two groups at most')
    t.strictSame(used.at(-1), create)
  })
})

t.test('a group that has been before is prepared already', async (t) => {
  const { node, texts } = await watchedNode(t)
  for (let round = 0; round < 5; round++) {
    const id = await node.make()
    for (const kind of JOB_KINDS) await node.submit(finishOf(id, kind))
  }
  t.equal(texts.length, 25)
  t.equal(new Set(texts).size, 5, 'a create’s two, and the write of each kind')
})

t.test('a create looks for itself only when it may have been written before', async (t) => {
  const store = memoryStore()
  const questions: string[][] = []
  const { readGroup } = store
  const groups = groupsOn({
    ...store,
    readGroup(question) {
      questions.push(question.createIds)
      return readGroup(question)
    },
  })
  await groups.make()
  t.strictSame(questions, [[]])
  store.afterWrite = (call) => {
    if (call === 2) throw databaseError('CONNECTION_CLOSED')
  }
  await groups.make()
  t.equal(questions.length, 3)
  t.strictSame(questions[1], [])
  t.equal(questions[2]?.length, 1)
  t.equal(store.chapters.size, 2, 'and is not made twice')
})

/** A node whose statements can be read. */
async function watchedNode(t: Test) {
  const client = postgres(await postgresUrl(t), { max: 2, connection: { ...PLANNING }, onnotice() {} })
  t.teardown(() => client.end())
  const texts: string[] = []
  const database: Database = {
    db: drizzle(client, { logger: { logQuery: (text) => texts.push(text) } }) as unknown as Db,
    description: 'PostgreSQL with a logger',
    isExclusive: false,
    async ping() {},
    async close() {},
  }
  return {
    node: nodeOn(database),
    elsewhere: nodeOn(database),
    texts,
    /** The tables that each statement of `act` names. */
    async tablesOf(act: () => Promise<unknown>): Promise<string[][]> {
      const before = texts.length
      await act()
      return texts.slice(before).map((text) => {
        // `new_job` is a part of a statement, and `'jobs'` a field of an answer.
        // The end of a write reads only what was not written.
        const [writing = ''] = text.split('null::json as moved')
        const names = new Set(writing.match(/(?<=\b(from|join|into|update|using) )[a-z_]+\b/g))
        return TABLES.filter((table) => names.has(table))
      })
    },
  }
}
