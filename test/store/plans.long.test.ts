import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import type { Database } from '../../src/store/database.js'
import type { Db } from '../../src/store/prepared.js'
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
const FILL = `
insert into chapter (version, write_id, create_id, last_seq, course_id, owner_id, title, description, locale,
    metadata, quiz_count, status, created_at, updated_at, log_ended_at, completed_at)
  select 4, gen_random_uuid(), gen_random_uuid(), 8, i % 500, i % 1000, 'title', 'description', 'ko', '{}', 1,
    case when ${IS_RUNNING} then 'processing' else 'completed' end, now() - ${AGE}, now() - ${AGE},
    case when ${IS_RUNNING} then null else now() - ${AGE} end, case when ${IS_RUNNING} then null else now() end
  from generate_series(1, ${CHAPTERS}) i;
insert into concept (chapter_id, title, content) select i, 'title', 'content' from generate_series(1, ${CHAPTERS}) i;
insert into exercise (chapter_id, question) select i, 'question' from generate_series(1, ${CHAPTERS}) i;
insert into quiz (chapter_id, position) select i, 1 from generate_series(1, ${CHAPTERS}) i;
insert into job (chapter_id, kind, job_id, status, attempt, max_attempts, requested_at, due_at, deadline_at, held_until)
  select i, kind, gen_random_uuid(), case when ${IS_RUNNING} then running else 'completed' end, 1, 3, now(),
    now() - ${AGE}, case when ${IS_RUNNING} and running = 'published' then now() + ${AGE} end,
    case when ${IS_RUNNING} and running = 'published' then now() + ${AGE} end
  from generate_series(1, ${CHAPTERS}) i,
    (values ('concept', 'queued'), ('exercise', 'published'), ('quiz', 'failed')) as k (kind, running);
insert into event (chapter_id, seq, name, payload)
  select i, seq, 'concept_processing', '{}' from generate_series(1, ${CHAPTERS}) i, generate_series(1, 4) seq;
insert into dead_letter (job_id, chapter_id, kind, attempt, max_attempts, requested_at, reason, failed_at)
  select job_id, chapter_id, kind, 3, 3, now(), 'timeout', now() from job where status = 'failed';
insert into idempotency_key (owner_id, key, body_hash, chapter_id, created_at)
  select i % 1000, 'key ' || i, 'hash', i, now() - ${AGE} from generate_series(1, ${CHAPTERS}) i;
analyze`

t.test('with a hundred thousand chapters no statement reads a whole table', async (t) => {
  const url = await postgresUrl(t)
  const client = postgres(url, { max: 1, onnotice() {} })
  t.teardown(() => client.end())
  await client.unsafe(FILL)

  const asked = new Map<string, unknown[]>()
  const logger = { logQuery: (text: string, values: unknown[]) => asked.set(text, values) }
  const database: Database = {
    db: drizzle(client, { logger }) as unknown as Db,
    description: 'PostgreSQL with a logger',
    isExclusive: false,
    async ping() {},
    async close() {},
  }
  await useEverything(database)
  t.ok(asked.size >= 15, `${asked.size} statements`)

  for (const [text, values] of asked) {
    await client.unsafe(`prepare asked as ${text}`)
    const literals = values.map((value) => `'${String(value).replaceAll("'", "''")}'`)
    const execute = `execute asked${literals.length === 0 ? '' : `(${literals.join(', ')})`}`
    const scans = new Set<string>()
    // From the sixth time on PostgreSQL may plan for any values, not for these.
    for (let time = 1; time <= 7; time++)
      for (const row of await client.unsafe(`explain ${execute}`)) {
        const [, name] = / Seq Scan on (\w+)/.exec(String(row['QUERY PLAN'])) ?? []
        if (name !== undefined && LARGE.has(name)) scans.add(name)
      }
    await client.unsafe('deallocate asked')
    t.strictSame([...scans], [], text.trim().replaceAll(/\s+/g, ' ').slice(0, 100))
  }
})

/** Every statement of the stores, as they are used: a few chapters of many. */
async function useEverything(database: Database): Promise<void> {
  const now = Date.now()
  const { chapters, events, jobs, groups } = { ...nodeOn(database), groups: nodeOn(database) }
  const idempotency = { key: 'mine', bodyHash: 'hash' }
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
  const ids = due.map(({ jobId }) => jobId)
  await jobs.claimOverdue(claim)
  await jobs.claimLapsed(claim)
  await jobs.claimDeadLetters(claim)
  await jobs.hold(ids.slice(0, 50), now)
  await jobs.deleteDeadLetters(ids.slice(0, 50))

  const cursors = [20, 40, 60].map((chapterId) => ({ chapterId, after: 2, progressVersion: 0 }))
  await events.readPages(cursors)
  await events.readNews(cursors)
  await events.deleteLogsEndedBefore(now - LONG_AGO_MS, 200)
  await events.deleteKeysBefore(now - LONG_AGO_MS)
}
