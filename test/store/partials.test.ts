/**
 * Text so far in the database, on PostgreSQL and on the embedded one.
 */
import t from 'tap'
import { createPartialStore, type PartialWrite } from '../../src/store/partials.js'
import { connectPostgres, DATABASES, postgresUrl } from '../support/database.js'
import { finishOf, gate, nodeOn } from '../support/node.js'
import { query } from '../support/watch.js'

for (const [name, open] of Object.entries(DATABASES))
  t.test(`${name} keeps the latest text of the current attempt, and gives it with the log`, async (t) => {
    const database = await open(t)
    const node = nodeOn(database)
    const store = createPartialStore(database.db, database.isExclusive)
    const id = await node.make()
    const other = await node.make()
    for (const chapterId of [id, other]) await node.submit(partialOf(await workOf(node, chapterId)))
    const work = await workOf(node, id)
    const text = (stamp: number, content: string) => ({ stamp, length: content.length, content })
    const write = (more: Partial<PartialWrite>) => ({ ...work, text: null, heartbeat: null, ...more })
    const before = await node.chapters.readChapter(id)

    t.same(
      await store.write([
        write({ text: text(10, '변수 😀') }),
        write({ attempt: 2, text: text(11, 'another attempt') }),
        { ...(await workOf(node, other)), text: text(5, 'other'), heartbeat: null },
        write({ chapterId: 999_999, text: text(12, 'no chapter') }),
      ]),
      ['written', 'not current', 'written', 'not current'],
    )
    const partialsOf = async (after = 0) =>
      (await node.events.readPages([{ chapterId: id, after }])).get(id)?.partials
    const row = { kind: 'concept', jobId: work.jobId, attempt: 1 }
    t.same(await partialsOf(), [{ ...row, ...text(10, '변수 😀') }])
    await store.write([write({ text: text(9, 'older') })])
    t.same(await partialsOf(), [{ ...row, ...text(10, '변수 😀') }], 'a later text stays')
    await store.write([write({ text: text(20, 'newer') })])
    t.match(await partialsOf(), [{ stamp: 20, content: 'newer' }])

    const cursor = {
      chapterId: id,
      after: before?.lastSeq ?? 0,
      progressVersion: before?.progressVersion ?? 0,
    }
    t.equal((await node.events.readNews([{ ...cursor, partials: { concept: 20 } }])).size, 0)
    const news = await node.events.readNews([{ ...cursor, partials: { concept: 19, quiz: 99 } }])
    t.match(news.get(id)?.partials, [{ content: 'newer' }])

    const at = Date.now() + 3_600_000
    await store.write([write({ heartbeat: { at, deadlineAt: at + 1000 } })])
    await store.write([write({ heartbeat: { at: at + 1, deadlineAt: 1 } })])
    const after = await node.chapters.readChapter(id)
    t.match(
      after?.jobs.concept,
      { deadlineAt: at + 1000, lastHeardAt: at + 1 },
      'a deadline never moves back',
    )
    t.equal(after?.version, before?.version, 'it is no write of the chapter')

    await node.submit(finishOf(id, 'concept'))
    t.same(await partialsOf(), [], 'with the result it is gone')
    await store.deleteEnded()
    t.match((await node.events.readPages([{ chapterId: other, after: 0 }])).get(other)?.partials, [
      { content: 'other' },
    ])
    await node.submit(finishOf(other, 'concept'))
    await store.deleteEnded()
    await store.deleteEnded()
  })

t.test('a text waits for no write of its chapter, and no write waits for it', async (t) => {
  const url = await postgresUrl(t)
  const database = connectPostgres(t, url)
  const node = nodeOn(database)
  const store = createPartialStore(database.db, false)
  const id = await node.make()
  await node.submit(partialOf(await workOf(node, id)))
  const work = await workOf(node, id)
  const write = { ...work, text: { stamp: 1, length: 1, content: 'a' }, heartbeat: null }
  const locked = gate()
  const holding = connectPostgres(t, url, 1).db.transaction(async (other) => {
    await other.execute(`select 1 from job where chapter_id = ${id} for update`)
    await locked.wait()
  })
  await locked.passed
  t.same(await store.write([write]), ['busy'])
  locked.open()
  await holding
  t.same(await store.write([write]), ['written'])

  let stamp = 2
  const many = Array.from({ length: 200 }, async (_, index) => {
    if (index % 4 === 0) return await node.submit(partialOf(work))
    return await store.write([
      { ...write, text: { stamp: stamp++, length: 1, content: 'b' }, heartbeat: { at: 1, deadlineAt: 1 } },
    ])
  })
  await t.resolves(Promise.all(many), 'no deadlock')
  const [row] = await query<{ unlogged: boolean }>(
    url,
    "select relpersistence = 'u' as unlogged from pg_class where relname = 'partial'",
  )
  t.equal(row?.unlogged, true)
})

function partialOf({ chapterId, jobId, attempt }: Pick<PartialWrite, 'chapterId' | 'jobId' | 'attempt'>) {
  return { type: 'partial', chapterId, kind: 'concept', named: { jobId, attempt } } as const
}

async function workOf(node: ReturnType<typeof nodeOn>, chapterId: number) {
  const job = (await node.chapters.readChapter(chapterId))?.jobs.concept
  return { chapterId, kind: 'concept' as const, jobId: job?.jobId ?? '', attempt: job?.attempt ?? 0 }
}
