import { randomUUID } from 'node:crypto'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createCourseStore } from '../../src/store/courses.js'
import { type Database, PLANNING } from '../../src/store/database.js'
import { createDeliveryStore } from '../../src/store/deliveries.js'
import { createFailedJobStore } from '../../src/store/failed-jobs.js'
import { createOpenJobStore } from '../../src/store/open-jobs.js'
import { createPartialStore } from '../../src/store/partials.js'
import type { Db } from '../../src/store/prepared.js'
import { createRunningJobStore } from '../../src/store/running-jobs.js'
import { createWindowStore } from '../../src/store/window.js'
import { NEW_CHAPTER } from '../support/chapters.js'
import { postgresUrl } from '../support/database.js'
import { failOf, finishOf, nodeOn } from '../support/node.js'

/** Tables with a row or more for each chapter. (Dead letters are few: they are deleted as they are sent.) */
const LARGE = new Set(['chapter', 'concept', 'exercise', 'quiz', 'job', 'event', 'idempotency_key'])
/** Chapters that are there already, with all that belongs to them: 5 in 100 still run. */
const CHAPTERS = 100_000
const AGE = `interval '1 second' * (${CHAPTERS} - i)`
/** The oldest thousand are older. */
const LONG_AGO_MS = (CHAPTERS - 1000) * 1000
const IS_RUNNING = 'i % 20 = 0'
/** That many chapters, with all that belongs to them. */
const fillOf = (count: number) => `
insert into chapter (version, write_id, create_id, last_seq, course_id, owner_id, title, description, locale,
    metadata, quiz_count, status, created_at, updated_at, log_ended_at, completed_at)
  select 4, gen_random_uuid(), gen_random_uuid(), 8, i % 500, i % 1000, 'title', 'description', 'ko', '{}', 1,
    case when ${IS_RUNNING} then 'processing' else 'completed' end, now() - ${AGE}, now() - ${AGE},
    case when ${IS_RUNNING} then null else now() - ${AGE} end, case when ${IS_RUNNING} then null else now() end
  from generate_series(1, ${count}) i;
insert into concept (chapter_id, title, content) select i, 'title', 'content' from generate_series(1, ${count}) i;
insert into exercise (chapter_id, question) select i, 'question' from generate_series(1, ${count}) i;
insert into quiz (chapter_id, position) select i, 1 from generate_series(1, ${count}) i;
insert into job (chapter_id, kind, job_id, status, attempt, max_attempts, requested_at, due_at, deadline_at, held_until,
    owner_id)
  select i, kind, gen_random_uuid(), case when ${IS_RUNNING} then running else 'completed' end, 1, 3, now(),
    now() - ${AGE}, case when ${IS_RUNNING} and running = 'published' then now() + ${AGE} end,
    case when ${IS_RUNNING} and running = 'published' then now() + ${AGE} end, i % 1000
  from generate_series(1, ${count}) i,
    (values ('concept', 'queued'), ('exercise', 'published'), ('quiz', 'failed')) as k (kind, running);
insert into event (chapter_id, seq, name, payload)
  select i, seq, 'concept_processing', '{}' from generate_series(1, ${count}) i, generate_series(1, 4) seq;
insert into dead_letter (job_id, chapter_id, kind, attempt, max_attempts, requested_at, reason, failed_at)
  select job_id, chapter_id, kind, 3, 3, now(), 'timeout', now() from job where status = 'failed';
insert into idempotency_key (owner_id, key, body_hash, chapter_id, created_at)
  select i % 1000, 'key ' || i, 'hash', i, now() - ${AGE} from generate_series(1, ${count}) i`

t.test('with a hundred thousand chapters no statement reads a whole table', async (t) => {
  const { client, database, asked } = await planned(t)
  await client.unsafe(fillOf(CHAPTERS))
  await client.unsafe('analyze')
  await useEverything(database)
  t.ok(asked.size >= 15, `${asked.size} statements`)
  for (const [text, values] of asked) {
    await client.unsafe(`prepare asked as ${text}`)
    const scans = new Set<string>()
    // From the sixth time on PostgreSQL may plan for any values, not for these.
    for (let time = 1; time <= 7; time++)
      for (const name of scanned(
        await client.unsafe(`explain (format json) ${executionOf('asked', values)}`),
      ))
        scans.add(name)
    await client.unsafe('deallocate asked')
    t.strictSame([...scans], [], shortOf(text))
  }
})

t.test(
  'statements that were prepared while the tables were empty find rows by index in full ones',
  async (t) => {
    const small = await planned(t)
    await small.client.unsafe(fillOf(100))
    await useEverything(small.database)
    const { asked } = small
    t.ok(asked.size >= 15, `${asked.size} statements`)
    const { client } = await planned(t)
    const names = new Map([...asked.keys()].map((text, index) => [text, `asked_${index}`]))
    for (const [text, name] of names) {
      await client.unsafe(`prepare ${name} as ${text}`)
      for (let time = 1; time <= 7; time++)
        await client.unsafe(`explain (format json) ${executionOf(name, asked.get(text) ?? [])}`)
    }
    // Nothing is analyzed: to analyze a table is to have every statement on it planned again.
    await client.unsafe(fillOf(CHAPTERS))
    for (const [text, name] of names) {
      const plan = await client.unsafe(`explain (format json) ${executionOf(name, asked.get(text) ?? [])}`)
      t.strictSame(scanned(plan), [], shortOf(text))
    }
    t.strictSame([...(await client.unsafe(ANALYZED))], [], 'nor was it by PostgreSQL itself')
  },
)

/** A database without chapters, on one connection with this program's settings, and all that is asked of it. */
async function planned(t: Test) {
  const url = await postgresUrl(t)
  const client = postgres(url, { max: 1, connection: { ...PLANNING }, onnotice() {} })
  t.teardown(() => client.end())
  for (const table of LARGE) await client.unsafe(`alter table ${table} set (autovacuum_enabled = off)`)
  const asked = new Map<string, unknown[]>()
  const logger = { logQuery: (text: string, values: unknown[]) => asked.set(text, values) }
  const database: Database = {
    db: drizzle(client, { logger }) as unknown as Db,
    description: 'PostgreSQL with a logger',
    isExclusive: false,
    async ping() {},
    async close() {},
  }
  return { client, database, asked }
}

function executionOf(name: string, values: unknown[]): string {
  const literals = values.map((value) =>
    value === null ? 'null' : `'${String(value).replaceAll("'", "''")}'`,
  )
  return `execute ${name}${literals.length === 0 ? '' : `(${literals.join(', ')})`}`
}

/** Large tables that the plan reads whole: row by row, or through an index of which it wants everything. */
function scanned(rows: Iterable<Record<string, unknown>>): string[] {
  const found = new Set<string>()
  const visit = (node: PlanNode) => {
    const { 'Node Type': type, 'Relation Name': table = '', 'Index Cond': condition } = node
    const isWhole = type === 'Seq Scan' || (/^Index/.test(type) && condition === undefined)
    if (isWhole && LARGE.has(table)) found.add(`${type} on ${table} ${node['Index Name'] ?? ''}`)
    for (const child of node.Plans ?? []) visit(child)
  }
  for (const row of rows) for (const { Plan } of row['QUERY PLAN'] as { Plan: PlanNode }[]) visit(Plan)
  return [...found]
}

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  Plans?: PlanNode[]
}

const shortOf = (text: string) => text.trim().replaceAll(/\s+/g, ' ').slice(0, 100)

const ANALYZED = `
select relname from pg_stat_user_tables where last_analyze is not null or last_autoanalyze is not null`

/** Every statement of the stores, as they are used: a few chapters of many. */
async function useEverything(database: Database): Promise<void> {
  const now = Date.now()
  const { chapters, events, jobs, groups } = { ...nodeOn(database), groups: nodeOn(database) }
  const window = createWindowStore(database.db)
  const idempotency = { key: 'mine', bodyHash: 'hash' }
  await useCourses(database)
  const request = {
    ownerId: 1,
    courseId: 1,
    title: 'x',
    description: '',
    locale: 'ko',
    quizCount: 2,
    metadata: {},
  }
  await groups.create({ chapter: { ...request, locale: 'ko' }, idempotency })
  await Promise.all(JOB_KINDS.flatMap((kind) => [20, 40, 60].map((id) => groups.submit(finishOf(id, kind)))))
  await groups.submit(failOf(80, 'exercise', { retryable: false }))
  await chapters.readLearning(20, true)
  for (const filter of [{}, { ownerId: 5 }, { courseId: 5 }, { status: 'processing' as const }])
    await chapters.list({ ...filter, limit: 20, before: CHAPTERS / 2 })

  const claim = { now, leasedUntil: now + 1000, limit: 200 }
  const due = await jobs.claimDue(claim)
  await jobs.claimOverdue(claim)
  await jobs.claimExpiredHolds(claim)
  await jobs.claimDeadLetters(claim)
  const places = { all: 6000, concept: null, exercise: null, quiz: 100 }
  const { claims } = await window.read()
  await window.claim({ ...claim, places, expectedClaims: claims, widths: null })
  await window.waitingBefore(100, true, now)
  await window.releaseLeased(now - 60_000, now, 200)
  await jobs.hold(due.slice(0, 50), now)
  await jobs.markPublished(due.slice(0, 50).map((job) => ({ ...job, deadlineAt: now })))
  await jobs.deleteDeadLetters(due.slice(0, 50).map(({ jobId }) => jobId))

  const open = createOpenJobStore(database.db)
  const attempts = due.slice(50, 100).map((job) => ({ ...job, deadlineAt: now }))
  await open.leave(attempts, now)
  await open.take(attempts, now)
  await open.renew(attempts, now)
  for (const attempt of attempts.slice(0, 1)) await open.letGo(attempt, now, now)

  const deliveries = createDeliveryStore(database.db)
  const delivery = { chapterId: 20, seq: 8 }
  await deliveries.tick(now, 1000)
  await deliveries.collect({ from: now - 60_000, since: now - 60_000, now, giveUpAt: now, limit: 200 })
  await deliveries.claim(claim)
  await deliveries.settle({
    ...delivery,
    ...{ status: 500, error: 'no', deliveredAt: null, failedAt: null, dueAt: now },
  })
  await deliveries.listDeliveries({ status: 'pending', limit: 20, after: { ...delivery, endedAt: now } })
  await deliveries.listDeliveries({ status: 'failed', limit: 20 })
  await deliveries.listDeliveries({ chapterId: 20, limit: 20 })
  await deliveries.read(delivery)
  await deliveries.redeliver(delivery, now, now)
  await deliveries.deleteEndedBefore(now - LONG_AGO_MS, 200)

  const cursors = [20, 40, 60].map((chapterId) => ({ chapterId, after: 2, progressVersion: 0 }))
  await events.readPages(cursors)
  await events.readNews(cursors)
  const partials = createPartialStore(database.db, false)
  const writes = await Promise.all(
    [100, 120].map(async (chapterId) => {
      const job = (await chapters.readChapter(chapterId))?.jobs.exercise
      const { jobId = randomUUID(), attempt = 1 } = job ?? {}
      const text = { stamp: 1, length: 4, content: 'text' }
      const heartbeat = { at: now, deadlineAt: now + 1000 }
      return { chapterId, kind: 'exercise' as const, jobId, attempt, text, heartbeat }
    }),
  )
  await partials.write(writes)
  await partials.deleteEnded()
  await events.deleteLogsEndedBefore(now - LONG_AGO_MS, 200)
  await events.deleteKeysBefore(now - LONG_AGO_MS)
  await useOperators(database, now)
}

/** What operators see and do. */
async function useOperators(database: Database, now: number): Promise<void> {
  const running = createRunningJobStore(database.db)
  await running.list({ after: { chapterId: 200, kind: 'quiz' }, chapters: 500, ownerId: 220 })
  await running.holdsOf(20)
  const failed = createFailedJobStore(database.db)
  const page = { after: { at: now, chapterId: 20, kind: 'quiz' as const }, ownerId: 20, limit: 20 }
  await failed.list(page)
  await failed.refs({ ...page, after: { ...page.after, at: 0 } })
  await failed.ofChapter(80)
  await failed.named([randomUUID(), randomUUID()])
  await nodeOn(database).jobs.unclaim([{ chapterId: 20, kind: 'quiz', jobId: randomUUID(), attempt: 1 }])
}

async function useCourses(database: Database): Promise<void> {
  const courses = createCourseStore(database.db)
  const { createAll } = nodeOn(database)
  const chapters = [NEW_CHAPTER, NEW_CHAPTER]
  const idempotency = { key: 'many', bodyHash: 'hash' }
  await createAll({ chapters, idempotency })
  await createAll({ chapters, idempotency })
  const known = [{ id: 7, version: 1, isQueued: false }]
  for (const ownerId of [null, 7]) {
    await courses.readNews([{ courseId: 7, ownerId, known }])
    const room = { pid: 'pid', chapterId: -7, afterSeq: 0, nodeId: '00000000-0000-4000-8000-000000000001' }
    await courses.readNews([{ courseId: 7, ownerId, known }], [room])
    await courses.readPage({ courseId: 7, ownerId }, { after: 5, limit: 10 })
  }
  await courses.readEntries([7, 8])
}
