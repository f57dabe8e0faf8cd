import t from 'tap'
import { type CourseQuestion, createCourseStore } from '../../src/store/courses.js'
import { DATABASES } from '../support/database.js'
import { finishOf, nodeOn, progressOf, query } from '../support/node.js'

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    const node = nodeOn(database)
    const store = createCourseStore(database.db)
    const ask = async (question: Partial<CourseQuestion>) => {
      const [news] = await store.readNews([{ courseId: 7, ownerId: null, known: [], ...question }])
      if (news === undefined) throw new Error('no answer')
      return news
    }
    const one = await node.make({ courseId: 7, ownerId: 1, title: 'one' })
    const two = await node.make({ courseId: 7, ownerId: 2, title: 'two', locale: 'en' })
    const elsewhere = await node.make({ courseId: 8, ownerId: 1 })
    const known = (id: number, version: number, isQueued = false) => ({ id, version, isQueued })

    await t.test('who knows nothing is told of every chapter, in the order of their ids', async (t) => {
      t.match(await ask({}), {
        entries: [
          {
            chapter: {
              course_id: 7,
              chapter_id: one,
              title: 'one',
              status: 'processing',
              progress: 0,
              kinds: { concept: 'queued', exercise: 'queued', quiz: 'queued' },
              version: 1,
              updated_at: /^20.*Z$/,
            },
            ownerId: 1,
            locale: 'ko',
          },
          { chapter: { chapter_id: two }, ownerId: 2, locale: 'en' },
        ],
        gone: [],
        isTooLarge: false,
      })
    })

    await t.test(
      'who knows some is told of what changed, what may have been sent out, and what is gone',
      async (t) => {
        const same = [known(one, 1), known(two, 1)]
        t.same(await ask({ known: same }), { entries: [], gone: [], isTooLarge: false })
        const queued = [known(one, 1, true), known(two, 1), known(404, 3)]
        const news = await ask({ known: queued })
        t.same(news.gone, [404])
        t.same(
          news.entries.map(({ chapter }) => chapter.chapter_id),
          [one],
        )
        await node.submit(progressOf(two, 10))
        t.match((await ask({ known: same })).entries, [
          { chapter: { chapter_id: two, version: 2, progress: 10 } },
        ])
        t.match(await ask({ known: [known(one, 1)] }), { entries: [{ chapter: { chapter_id: two } }] })
      },
    )

    await t.test(
      'an owner is told of their own chapters, and courses in one question are kept apart',
      async (t) => {
        const [ofTwo, all, other, ofNobody] = await store.readNews([
          { courseId: 7, ownerId: 2, known: [] },
          { courseId: 7, ownerId: null, known: [] },
          { courseId: 8, ownerId: null, known: [] },
          { courseId: 8, ownerId: 2, known: [] },
        ])
        const ids = [ofTwo, all, other, ofNobody].map((news) =>
          news?.entries.map(({ chapter }) => chapter.chapter_id),
        )
        t.same(ids, [[two], [one, two], [elsewhere], []])
      },
    )

    await t.test('a page has its chapters, and the numbers of the whole course', async (t) => {
      for (const kind of ['concept', 'exercise', 'quiz'] as const) await node.submit(finishOf(one, kind))
      const page = await store.readPage({ courseId: 7, ownerId: null }, { after: one, limit: 5 })
      t.same(page.counts, { completed: 1, processing: 1 })
      t.equal(page.progressSum, 110)
      t.same(
        page.entries.map(({ chapter }) => chapter.chapter_id),
        [two],
      )
      const own = await store.readPage({ courseId: 7, ownerId: 1 }, { after: 0, limit: 5 })
      t.same(own.counts, { completed: 1 })
      const empty = await store.readPage({ courseId: 9, ownerId: null }, { after: 0, limit: 5 })
      t.same(empty, { counts: {}, progressSum: 0, entries: [] })
    })

    await t.test('chapters are read by their ids', async (t) => {
      t.match(await store.readEntries([elsewhere, 404]), [{ chapter: { chapter_id: elsewhere } }])
      t.same(await store.readEntries([]), [])
    })

    await t.test('a join writes the room of its session with the read', async (t) => {
      const remember = {
        pid: 'pid',
        chapterId: -7,
        afterSeq: 0,
        nodeId: '00000000-0000-4000-8000-000000000001',
      }
      await store.readNews([{ courseId: 7, ownerId: 1, known: [] }], [remember, remember])
      t.match(await query(database, 'select pid, chapter_id::int from session_room'), [
        { pid: 'pid', chapter_id: -7 },
      ])
    })
  })
