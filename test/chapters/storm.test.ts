import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { AppError } from '../../src/errors.js'
import type { Database } from '../../src/store/database.js'
import { connectPostgres, embeddedDatabase, postgresUrl } from '../support/database.js'
import { checkLogs, failOf, finishOf, nodeOn, progressOf, query, type StoreNode } from '../support/node.js'

/** Two nodes, each with connections of its own, on one PostgreSQL; and a single node on PGlite, which has one. */
const SETUPS: Record<string, (t: Test) => Promise<Database[]>> = {
  'two nodes on PostgreSQL': async (t) => {
    const url = await postgresUrl(t)
    return [connectPostgres(t, url), connectPostgres(t, url)]
  },
  'one node on PGlite': async (t) => [await embeddedDatabase(t)],
}

for (const [where, open] of Object.entries(SETUPS))
  t.test(where, async (t) => {
    const databases = await open(t)
    const nodes = databases.map((database) => nodeOn(database))

    await t.test('whatever is sent at once, every chapter’s log is whole and ends once', async (t) => {
      const ids = await chapters(nodes, 40)
      const settled = await storm(nodes, ids)
      t.ok(settled.length > 600, `${settled.length} commands`)
      const lost = settled.filter(({ error }) => error !== undefined && !isExpected(error))
      t.strictSame(lost, [])
      await checkFinishes(t, first(databases), settled, ids)
      await checkLogs(t, first(databases), nodes)
    })

    await t.test('hundreds of callbacks for one chapter at once complete it once', async (t) => {
      // Small groups: the nodes, and each node’s groups, get in each other’s way all the time.
      const eager = databases.map((database) => nodeOn(database, { limits: { groupCommands: 7 } }))
      const [id = 0] = await chapters(eager, 1)
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, i) => {
          const kind = JOB_KINDS[i % 3] ?? 'quiz'
          return at(eager, i).submit(
            i < 90 ? finishOf(id, kind, `${kind} ${i}`) : progressOf(id, i / 10, kind),
          )
        }),
      )
      t.equal(answers.slice(0, 90).filter(({ status }) => status === 'success').length, 3)
      t.equal(answers.slice(0, 90).filter(({ status }) => status === 'duplicate').length, 87)
      const rows = await query(first(databases), `select status, progress from chapter where id = ${id}`)
      t.strictSame(rows, [{ status: 'completed', progress: 100 }])
      await checkLogs(t, first(databases), [...nodes, ...eager])
      t.strictSame(
        [...nodes, ...eager].flatMap(({ errors }) => errors),
        [],
      )
    })
  })

t.test('a chapter that somebody else has locked is waited for, and nothing else is', async (t) => {
  const url = await postgresUrl(t)
  // Five times the longest real wait: a slow machine must not use up the tries before the lock is gone.
  const node = nodeOn(connectPostgres(t, url), { random: () => 5 })
  const locker = connectPostgres(t, url, 1)
  const [locked = 0, free = 0] = await chapters([node], 2)
  await query(locker, 'begin')
  await query(locker, `select from chapter where id = ${locked} for update`)

  let isAnswered = false
  const waiting = node.submit(finishOf(locked, 'concept')).finally(() => {
    isAnswered = true
  })
  const beside = await Promise.all(JOB_KINDS.map((kind) => node.submit(finishOf(free, kind))))
  t.match(beside, [{ status: 'success' }, { status: 'success' }, { status: 'success' }])
  t.notOk(isAnswered, 'the other chapter was completed meanwhile')

  await query(locker, 'commit')
  t.match(await waiting, { status: 'success' })
  await checkLogs(t, locker, [node])
})

t.test(
  'a chapter that stays locked is given up with a request to come back, and keeps working',
  async (t) => {
    const url = await postgresUrl(t)
    // Without waits between its tries, so that they are soon used up.
    const node = nodeOn(connectPostgres(t, url), { random: () => 0 })
    const locker = connectPostgres(t, url, 1)
    const [id = 0] = await chapters([node], 1)
    await query(locker, 'begin')
    await query(locker, `select from chapter where id = ${id} for update`)
    await t.rejects(node.submit(finishOf(id, 'quiz')), { name: 'UnavailableError', retryAfterS: 1 })
    await query(locker, 'rollback')
    t.match(await node.submit(finishOf(id, 'quiz')), { status: 'success' })
  },
)

t.test(
  'two hundred creates at once on two nodes make two hundred chapters, each answered as its own',
  async (t) => {
    const url = await postgresUrl(t)
    const databases = [connectPostgres(t, url), connectPostgres(t, url)]
    const nodes = databases.map((database) => nodeOn(database))
    const created = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const { chapter, isNew } = await at(nodes, i).create({
          chapter: {
            courseId: 1,
            ownerId: 1 + (i % 3),
            title: `chapter ${i}`,
            description: '',
            locale: 'ko',
            quizCount: 1 + (i % 20),
            metadata: { i },
          },
        })
        t.ok(isNew)
        return { i, ...chapter }
      }),
    )
    t.equal(new Set(created.map(({ chapterId }) => chapterId)).size, 200)
    const rows = await query(
      first(databases),
      `select c.id, c.title, c.metadata->>'i' as i, c.quiz_count, concept.id as concept_id, exercise.id as exercise_id,
       (select string_agg(id::text, ' ' order by position) from quiz where chapter_id = c.id) as quiz_ids
     from chapter c join concept on concept.chapter_id = c.id join exercise on exercise.chapter_id = c.id`,
    )
    const asStored = (row: (typeof rows)[number]) => JSON.stringify(Object.values(row).map(String))
    t.strictSame(
      new Set(rows.map(asStored)),
      new Set(
        created.map(({ i, chapterId, conceptId, exerciseId, quizIds, quizCount }) =>
          asStored({
            id: chapterId,
            title: `chapter ${i}`,
            i,
            quizCount,
            conceptId,
            exerciseId,
            quizIds: quizIds.join(' '),
          }),
        ),
      ),
    )
    await checkLogs(t, first(databases), nodes)
  },
)

interface Settled {
  chapterId: number
  type: string
  kind?: string
  mark?: string
  status?: string
  error?: unknown
}

/** Every kind of command for every chapter, in no order, half of it to each node. */
async function storm(nodes: StoreNode[], ids: number[]): Promise<Settled[]> {
  const sent: Promise<Settled>[] = []
  let turn = 0
  const send = (settled: Settled, submit: (node: StoreNode) => Promise<unknown>) =>
    sent.push(
      submit(at(nodes, turn++)).then(
        (reply) => ({ ...settled, status: (reply as { status?: string })?.status ?? 'done' }),
        (error: unknown) => ({ ...settled, error }),
      ),
    )
  const states = await Promise.all(ids.map((id) => at(nodes, id).chapters.readChapter(id)))
  for (let round = 0; round < 2; round++)
    for (const [i, chapterId] of ids.entries()) {
      for (const kind of JOB_KINDS) {
        const { jobId = '', attempt = 1 } = states[i]?.jobs[kind] ?? {}
        const mark = `${chapterId} ${kind} ${round}`
        send({ chapterId, type: 'start' }, (node) =>
          node.submit({ type: 'start', chapterId, kind, jobId, attempt }),
        )
        if (i % 4 !== 3 || round === 1)
          send({ chapterId, type: 'finish', kind, mark }, (node) =>
            node.submit(finishOf(chapterId, kind, mark)),
          )
        send({ chapterId, type: 'fail' }, (node) =>
          node.submit(failOf(chapterId, kind, { retryable: (i + round) % 3 > 0 })),
        )
        send({ chapterId, type: 'progress' }, (node) =>
          node.submit(progressOf(chapterId, 10 * (round + 1), kind)),
        )
      }
      send({ chapterId, type: 'progress' }, (node) => node.submit(progressOf(chapterId, 50)))
      send({ chapterId, type: 'retry' }, (node) => node.submit({ type: 'retry', chapterId }))
      if (i % 5 === 0)
        send({ chapterId, type: 'cancel' }, (node) => node.submit({ type: 'cancel', chapterId }))
    }
  return Promise.all(sent)
}

/** A retry of what has not failed and a cancel of what has ended are refused, and nothing else is. */
function isExpected(error: unknown): boolean {
  return error instanceof AppError && error.code === 'wrong_state'
}

/** One success per chapter and kind, of which the content is stored; none only where it was cancelled before. */
async function checkFinishes(t: Test, database: Database, settled: Settled[], ids: number[]): Promise<void> {
  const rows = await query<{ id: string; status: string; concept: string; exercise: string; quiz: string }>(
    database,
    `select c.id, c.status, concept.title as concept, exercise.question as exercise, quiz.question as quiz
     from chapter c join concept on concept.chapter_id = c.id join exercise on exercise.chapter_id = c.id
       join quiz on quiz.chapter_id = c.id and quiz.position = 1`,
  )
  const wrong: unknown[] = []
  for (const row of rows)
    for (const kind of JOB_KINDS) {
      const finishes = settled.filter(
        (one) => one.type === 'finish' && one.chapterId === Number(row.id) && one.kind === kind,
      )
      const marks = finishes.filter(({ status }) => status === 'success').map(({ mark }) => mark)
      const stored = row[kind] === null ? [] : [row[kind]]
      const isMissing = marks.length === 0 && row.status !== 'cancelled'
      if (isMissing || JSON.stringify(marks) !== JSON.stringify(stored))
        wrong.push({ row, kind, marks, finishes })
    }
  t.strictSame(wrong, [], 'what was answered success, and only that, is stored')
  t.equal(rows.length, ids.length)
}

async function chapters(nodes: StoreNode[], count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => at(nodes, i).make()))
}

function at<T>(items: T[], i: number): T {
  return items[i % items.length] as T
}

function first<T>(items: T[]): T {
  return at(items, 0)
}
