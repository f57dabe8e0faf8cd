import { randomUUID } from 'node:crypto'
import t from 'tap'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import type { ChapterState } from '../../src/domain/chapter.js'
import type { ChapterCommand, DecisionContext } from '../../src/domain/command.js'
import { decide } from '../../src/domain/decide.js'
import type { ChapterWrite } from '../../src/store/chapters.js'
import { NEW_CHAPTER, POLICY } from '../support/chapters.js'
import { DATABASES } from '../support/database.js'
import { failOf, finishOf, nodeOn, progressOf, query, readLogs } from '../support/node.js'

const CONTEXT: DecisionContext = {
  now: Date.parse('2026-01-31T09:00:12.345Z'),
  policy: POLICY,
  random: () => 0.5,
  newId: randomUUID,
}

const TEXTS = {
  Korean: '변수와 자료형',
  emoji: '👩🏽‍🏫 ❤️ \u{1F469}\u200D\u{1F4BB}',
  'right to left': 'שלום \u202Eمرحبا',
  'four bytes': '𠜎𠜱𝒳\u{10FFFF}',
  controls: '\u0001\t\r\n\u2028\u2029\u007f\ufeff',
  quoting: `'; drop table chapter; -- " \\ \\u0041 $1 {} [] $$`,
  'not composed': '\u1112\u1161\u11AB e\u0301',
}

for (const [name, open] of Object.entries(DATABASES))
  t.test(name, async (t) => {
    const database = await open(t)
    const { chapters, make, create } = nodeOn(database, { now: () => CONTEXT.now })
    const stateOf = async (id: number) => {
      const state = await chapters.readChapter(id)
      if (state === undefined) throw new Error(`no chapter ${id}`)
      return state
    }
    const write = (...writes: ChapterWrite[]) =>
      chapters.writeGroup(writes, randomUUID(), CONTEXT.now + 15_000)

    await t.test('a write of a chapter that has moved writes nothing at all', async (t) => {
      const [stale, current] = await Promise.all([stateOf(await make()), stateOf(await make())])
      await write(writeOf(stale, progressOf(stale.id, 10)))
      const before = await everythingOf(stale.id)
      const fatal = { retryable: false }
      const written = await write(
        writeOf(
          stale,
          ...JOB_KINDS.slice(0, 2).map((kind) => finishOf(stale.id, kind, 'stale')),
          named(stale, failOf(stale.id, 'quiz', fatal)),
        ),
        writeOf(current, finishOf(current.id, 'quiz', 'current')),
      )
      t.strictSame([...written.written], [current.id])
      t.match(written.moved.get(stale.id), { state: { version: stale.version + 1 } }, 'and is told as it is')
      t.strictSame(await everythingOf(stale.id), before)
    })

    await t.test('what was written is what is read', async (t) => {
      const before = await stateOf(await make({ metadata: { 나: [1, { b: null }], '10': 'x', '2': 'y' } }))
      const commands = [
        progressOf(before.id, 12.5, 'concept'),
        named(before, failOf(before.id, 'exercise', { error: '시간 초과', reason: 'timeout' })),
        named(before, failOf(before.id, 'quiz', { retryable: false, reason: 'refused' })),
      ]
      const change = writeOf(before, ...commands)
      await write(change)
      t.strictSame(await stateOf(before.id), change.state)
      await query(database, `set timezone = 'Asia/Kathmandu'`)
      t.strictSame(await stateOf(before.id), change.state, 'in whatever zone the connection is')
      await query(database, 'reset timezone')
    })

    await t.test('all text comes back as it was sent', async (t) => {
      for (const [kind, text] of Object.entries(TEXTS)) {
        const id = await make({ title: text, description: text, metadata: { [text]: text } })
        const quizzes = [
          { question: text, correct_answer: text, options: [text, 'b'], type: 'short' as const },
        ]
        await write(
          writeOf(
            await stateOf(id),
            {
              type: 'finish',
              chapterId: id,
              named: {},
              kind: 'concept',
              result: { title: text, content: text },
            },
            {
              type: 'finish',
              chapterId: id,
              named: {},
              kind: 'exercise',
              result: { question: text, answer: text },
            },
            { type: 'finish', chapterId: id, named: {}, kind: 'quiz', result: { quizzes } },
          ),
        )
        const view = await chapters.readLearning(id, true)
        t.match(view, { title: text, description: text, concept: { title: text, content: text } }, kind)
        t.match(view?.exercise, { question: text, answer: text, difficulty: 'medium' })
        t.match(view?.quizzes, quizzes)
        t.equal(view?.quizzes.length, 1)
        t.strictSame(view?.metadata, { [text]: text })
        t.match((await readLogs(database)).get(id)?.[0]?.payload, { title: text })
      }
    })

    await t.test('nine hundred kilobytes of text come back whole', async (t) => {
      const content = '# 변수 👩🏽‍🏫\n'.repeat(40_000)
      t.ok(Buffer.byteLength(content) > 900_000)
      const id = await make()
      const concept = { title: 'big', content }
      await write(
        writeOf(await stateOf(id), {
          type: 'finish',
          chapterId: id,
          named: {},
          kind: 'concept',
          result: concept,
        }),
      )
      const view = await chapters.readLearning(id, true)
      t.ok(view?.concept.content === content)
    })

    await t.test('events are stored byte for byte, in the order of their fields', async (t) => {
      const id = await make({ title: '"b" \\ / \u2028 é' })
      const before = await stateOf(id)
      const change = writeOf(before, named(before, failOf(id, 'quiz', { error: '<b>&\u00e9\\u0041</b>' })))
      await write(change)
      const rows = await query<{ payload: string }>(
        database,
        `select payload::text as payload from event where chapter_id = ${id} and seq > 4 order by seq`,
      )
      t.strictSame(
        rows.map(({ payload }) => payload),
        change.events.map(({ payload }) => JSON.stringify(payload)),
      )
      t.equal(rows.length, 1)
    })

    for (const [asked, got] of [
      [3, 1],
      [3, 3],
      [3, 5],
      [1, 20],
      [20, 1],
    ] as const)
      await t.test(
        `${got} quizzes for ${asked} asked: the first rows are filled, as many as came stay`,
        async (t) => {
          const { chapter } = await create({ chapter: { ...NEW_CHAPTER, quizCount: asked } })
          const id = chapter.chapterId
          const quizzes = Array.from({ length: got }, (_, i) => ({ question: `${i}`, correct_answer: 'a' }))
          const neighbour = await make({ quizCount: 4 })
          await write(
            writeOf(await stateOf(id), {
              type: 'finish',
              chapterId: id,
              named: {},
              kind: 'quiz',
              result: { quizzes },
            }),
          )
          const view = await chapters.readLearning(id, true)
          t.equal(view?.quiz_count, got)
          t.strictSame(
            view?.quizzes.map(({ question, type, options, is_complete }) => ({
              question,
              type,
              options,
              is_complete,
            })),
            quizzes.map(({ question }) => ({ question, type: 'multiple', options: null, is_complete: true })),
          )
          t.strictSame(
            view?.quizzes.slice(0, asked).map((quiz) => quiz.id),
            chapter.quizIds.slice(0, got),
            'the ids that the create was answered stay',
          )
          t.equal((await chapters.readLearning(neighbour, true))?.quizzes.length, 4)
          t.match((await readLogs(database)).get(id)?.at(-1), {
            name: 'quiz_completed',
            payload: { quiz_count: got },
          })
        },
      )

    await t.test(
      'whoever looks while a chapter is being completed sees it whole, before or after',
      async (t) => {
        let looks = 0
        let torn = 0
        for (let round = 0; round < 30; round++) {
          const id = await make()
          let isDone = false
          const look = async () => {
            while (!isDone) {
              const view = await chapters.readLearning(id, true)
              looks += 1
              if (view === undefined || view.quizzes.length !== view.quiz_count) torn += 1
              else if (view.status === 'completed' && !view.quizzes.every((quiz) => quiz.is_complete))
                torn += 1
            }
          }
          const state = await stateOf(id)
          const finishes = JOB_KINDS.map((kind) => finishOf(id, kind))
          const finished = write(writeOf(state, ...finishes)).finally(() => {
            isDone = true
          })
          await Promise.all([finished, look(), look(), look()])
        }
        t.equal(torn, 0, `of ${looks} looks`)
      },
    )

    await t.test('without answers none is shown', async (t) => {
      const id = await make()
      await write(writeOf(await stateOf(id), finishOf(id, 'exercise', 'x'), finishOf(id, 'quiz', 'x')))
      t.notMatch(JSON.stringify(await chapters.readLearning(id, false)), /answer/)
    })

    await t.test('of a chapter that does not exist nothing is read or written', async (t) => {
      const state = await stateOf(await make())
      t.equal(await chapters.readChapter(999_999), undefined)
      t.equal(await chapters.readLearning(999_999, true), undefined)
      const ghost = { ...writeOf(state, finishOf(state.id, 'quiz')), state: { ...state, id: 999_999 } }
      const { written, moved } = await write(ghost)
      t.equal(written.size + moved.size, 0)
    })

    await t.test('a list is newest first, page by page, of an owner, a course or a status', async (t) => {
      const owner = { ownerId: 77 }
      const ids = []
      for (const courseId of [1, 2, 1, 2]) ids.push(await make({ ...owner, courseId }))
      const [a = 0, b = 0, c = 0, d = 0] = ids
      await write(writeOf(await stateOf(b), { type: 'cancel', chapterId: b }))
      const list = async (filter: object) =>
        (await chapters.list({ limit: 10, ...owner, ...filter })).map(({ chapter_id }) => chapter_id)
      t.strictSame(await list({}), [d, c, b, a])
      t.strictSame(await list({ limit: 2 }), [d, c])
      t.strictSame(await list({ before: c }), [b, a])
      t.strictSame(await list({ courseId: 2 }), [d, b])
      t.strictSame(await list({ status: 'cancelled' }), [b])
      const [item] = await chapters.list({ limit: 1, ...owner, status: 'cancelled' })
      t.match(item, { updated_at: '2026-01-31T09:00:12.345Z', completed_at: null, metadata: {} })
    })

    async function everythingOf(id: number): Promise<unknown[]> {
      const tables = ['concept', 'exercise', 'quiz', 'job', 'event', 'dead_letter', 'attempt', 'revision']
      const of = (name: string) =>
        query(database, `select * from ${name} where chapter_id = ${id} order by 1, 2`)
      return [
        await query(database, `select * from chapter where id = ${id}`),
        ...(await Promise.all(tables.map(of))),
      ]
    }
  })

/** The write that these commands make of a chapter, as the commit group puts it together. */
function writeOf(before: ChapterState, ...commands: ChapterCommand[]): ChapterWrite {
  const write: ChapterWrite = {
    expectedVersion: before.version,
    before,
    state: before,
    changedKinds: [],
    events: [],
    results: [],
    deadLetters: [],
    attempts: [],
    revisions: [],
    isDeleted: false,
  }
  for (const command of commands) {
    const { state, events, results, deadLetters, attempts, revisions } = decide(write.state, command, CONTEXT)
    write.state = state
    write.events.push(...events)
    write.results.push(...results)
    write.deadLetters.push(...deadLetters)
    write.attempts.push(...attempts)
    write.revisions.push(...revisions)
  }
  write.changedKinds = JOB_KINDS.filter((kind: JobKind) => write.state.jobs[kind] !== before.jobs[kind])
  return write
}

/** The same failure, of the chapter’s current work. */
function named(state: ChapterState, fail: ReturnType<typeof failOf>): ChapterCommand {
  const { jobId, attempt } = state.jobs[fail.kind]
  return { ...fail, named: { jobId, attempt } }
}
