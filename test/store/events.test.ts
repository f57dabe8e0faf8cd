import t from 'tap'
import { DATABASES } from '../support/database.js'
import { finishOf, nodeOn, progressOf, query } from '../support/node.js'

const NOW = Date.parse('2026-01-31T09:00:00.000Z')

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    let now = NOW
    const node = nodeOn(database, { now: () => now })
    const { events } = node
    const complete = async (id: number) => {
      for (const kind of ['concept', 'exercise', 'quiz'] as const) await node.submit(finishOf(id, kind))
    }
    const seqsOf = (
      page: Awaited<ReturnType<typeof events.readPages>> extends Map<number, infer P> ? P : never,
    ) => page.events.map(({ payload }) => payload.seq)
    t.beforeEach(async () => {
      now = NOW
      await query(database, 'delete from chapter')
    })

    await t.test('one question gives many chapters’ events, each after its own cursor', async (t) => {
      const [a, b, c] = await Promise.all([node.make(), node.make(), node.make()])
      await complete(b)
      const pages = await events.readPages([
        { chapterId: a, after: 0 },
        { chapterId: b, after: 6 },
        { chapterId: c, after: 4 },
        { chapterId: 999_999, after: 0 },
      ])
      t.strictSame([...pages.keys()].sort(), [a, b, c].sort(), 'what does not exist is left out')
      t.strictSame(
        [a, b, c].map((id) => {
          const page = pages.get(id)
          return page && { last: page.lastSeq, from: page.logFrom, seqs: seqsOf(page) }
        }),
        [
          { last: 4, from: 1, seqs: [1, 2, 3, 4] },
          { last: 8, from: 1, seqs: [7, 8] },
          { last: 4, from: 1, seqs: [] },
        ],
      )
      t.match(pages.get(b), { status: 'completed', progress: 100 })
      t.match(pages.get(b)?.events.at(-1), { name: 'all_completed', payload: { chapter_id: b, seq: 8 } })
      t.equal((await events.readPages([])).size, 0)
    })

    await t.test('a cursor beyond the end, from another life of the chapter, gets everything', async (t) => {
      const id = await node.make()
      const page = (await events.readPages([{ chapterId: id, after: 5 }])).get(id)
      t.strictSame(page && seqsOf(page), [1, 2, 3, 4])
    })

    await t.test(
      'news are chapters with an event or a progress that the reader lacks, and no others',
      async (t) => {
        const [still, said, moved] = await Promise.all([node.make(), node.make(), node.make()])
        await node.submit(progressOf(said, 10))
        await node.submit(finishOf(moved, 'quiz'))
        const cursors = [still, said, moved].map((chapterId) => ({ chapterId, after: 4, progressVersion: 0 }))
        const news = await events.readNews(cursors)
        t.strictSame([...news.keys()].sort(), [said, moved].sort())
        t.match(news.get(said), {
          latestProgress: { progress: 10, message: '10 %' },
          progressVersion: 2,
          events: [],
        })
        const known = [...news.values()].flatMap((page) =>
          page === null
            ? []
            : [{ chapterId: page.chapterId, after: page.lastSeq, progressVersion: page.progressVersion }],
        )
        t.equal((await events.readNews(known)).size, 0)
        t.equal((await events.readNews([])).size, 0)
        const cursor = { chapterId: said, after: 4, progressVersion: 99 }
        await node.submit({ type: 'delete', chapterId: said })
        t.strictSame([...(await events.readNews([cursor]))], [[said, null]], 'of one that was deleted')
        t.equal((await events.readNews([{ ...cursor, after: 0 }])).size, 0, 'but not of one that never was')
      },
    )

    await t.test(
      'the log of a chapter that ended long ago is deleted whole, and nothing of one that runs',
      async (t) => {
        const [running, old, young] = await Promise.all([node.make(), node.make(), node.make()])
        await complete(old)
        now += 1000
        await complete(young)
        await node.submit(progressOf(running, 5))

        t.equal(await events.deleteLogsEndedBefore(NOW, 10), 0)
        t.equal(await events.deleteLogsEndedBefore(NOW + 1, 10), 1)
        t.equal(await events.deleteLogsEndedBefore(NOW + 1, 10), 0, 'once')
        const pages = await events.readPages(
          [running, old, young].map((chapterId) => ({ chapterId, after: 0 })),
        )
        t.strictSame(
          [running, old, young].map((id) => [pages.get(id)?.events.length, pages.get(id)?.logFrom]),
          [
            [4, 1],
            [0, 9],
            [8, 1],
          ],
        )
        t.match(pages.get(old), { lastSeq: 8, status: 'completed' })
        t.equal(
          (await node.chapters.readLearning(old, false))?.concept.is_complete,
          true,
          'the content stays',
        )
      },
    )

    await t.test('many old logs are deleted some at a time, the oldest first', async (t) => {
      const ids = []
      for (let i = 0; i < 5; i++) {
        now += 10
        const id = await node.make()
        await node.submit({ type: 'cancel', chapterId: id })
        ids.push(id)
      }
      t.equal(await events.deleteLogsEndedBefore(now + 1, 2), 2)
      const pages = await events.readPages(ids.map((chapterId) => ({ chapterId, after: 0 })))
      t.strictSame(
        ids.map((id) => pages.get(id)?.events.length),
        [0, 0, 5, 5, 5],
      )
      t.equal(await events.deleteLogsEndedBefore(now + 1, 2), 2)
      t.equal(await events.deleteLogsEndedBefore(now + 1, 2), 1)
    })

    await t.test('a late result after its log was deleted continues seq and log', async (t) => {
      const id = await node.make()
      const state = await node.chapters.readChapter(id)
      for (const kind of ['concept', 'exercise', 'quiz'] as const)
        await node.submit({
          type: 'fail',
          chapterId: id,
          kind,
          named: { jobId: state?.jobs[kind].jobId, attempt: 1 },
          reason: 'refused',
          error: '',
          retryable: false,
          retryAfterMs: 0,
        })
      t.equal(await events.deleteLogsEndedBefore(NOW + 1, 10), 1)
      const told = node.told.length
      now += 5000
      await complete(id)
      t.strictSame(
        node.told.slice(told).flatMap(({ events }) => events.map(({ name, payload }) => [payload.seq, name])),
        [
          [9, 'concept_completed'],
          [10, 'exercise_completed'],
          [11, 'quiz_completed'],
          [12, 'all_completed'],
        ],
      )
      const page = (await events.readPages([{ chapterId: id, after: 0 }])).get(id)
      t.strictSame(page && { seqs: seqsOf(page), from: page.logFrom, last: page.lastSeq }, {
        seqs: [9, 10, 11, 12],
        from: 9,
        last: 12,
      })
      t.equal(await events.deleteLogsEndedBefore(NOW + 5000, 10), 0, 'and is kept as long as any')
      t.equal(await events.deleteLogsEndedBefore(NOW + 5001, 10), 1)
      t.match((await events.readPages([{ chapterId: id, after: 0 }])).get(id), { events: [], logFrom: 13 })
    })

    await t.test('a decision made before the log was deleted is not written after it', async (t) => {
      const id = await node.make()
      await node.submit({ type: 'cancel', chapterId: id })
      const before = await node.chapters.readChapter(id)
      await events.deleteLogsEndedBefore(NOW + 1, 10)
      const after = await node.chapters.readChapter(id)
      t.ok((after?.version ?? 0) > (before?.version ?? 0))
    })

    await t.test('idempotency keys are forgotten by age', async (t) => {
      const create = async (key: string) => {
        const chapter = { courseId: 1, ownerId: 1, title: 'x', description: '', locale: 'ko' as const }
        const request = { ...chapter, quizCount: 1, metadata: {} }
        return (await node.create({ chapter: request, idempotency: { key, bodyHash: '1' } })).isNew
      }
      await create('old')
      now += 1000
      await create('young')
      t.equal(await events.deleteKeysBefore(NOW), 0)
      t.equal(await events.deleteKeysBefore(NOW + 1), 1)
      t.equal(await create('young'), false)
      t.equal(await create('old'), true)
    })
  })
