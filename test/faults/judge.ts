/** At the end: what clients, watchers and the worker were told, against the database. */
import { setTimeout as delay } from 'node:timers/promises'
import { END_EVENTS } from '../../src/contract/event.js'
import { query } from '../support/watch.js'
import { judgeLog, type LoggedEvent } from './judge-log.js'
import type { AckedResult, KnownChapter, Ledger } from './ledger.js'
import type { Findings } from './promises.js'
import type { Watchers } from './watchers.js'

export interface JudgeOptions {
  databaseUrl: string
  ledger: Ledger
  watchers: Watchers
  findings: Findings
  /** `{chapter}-{seq}` of the notices that came. */
  notices: ReadonlySet<string>
}

export interface Judged {
  chapters: number
  events: number
  byStatus: Record<string, number>
}

interface ChapterRow {
  id: number
  status: string
  last_seq: number
  n: number
  is_whole: boolean
  open_jobs: number
  marks: (string | null)[]
}

const AT_ONCE = 2000
/** An open course is compared with the database every 10 s. */
const COURSE_MS = 25_000

export async function judge(options: JudgeOptions): Promise<Judged> {
  const { databaseUrl, ledger, watchers, findings } = options
  const judged: Judged = { chapters: 0, events: 0, byStatus: {} }
  const made = new Map<number, number>()
  const seen = new Set<number>()
  const results = new Map<number, AckedResult[]>()
  for (const result of ledger.results) {
    const known = results.get(result.chapterId) ?? []
    results.set(result.chapterId, known)
    known.push(result)
  }
  for (let after = 0; ; ) {
    const rows = await readChapters(databaseUrl, after)
    if (rows.length === 0) break
    const logs = await readLogs(databaseUrl, after, rows.at(-1)?.id ?? after)
    for (const row of rows) {
      judged.chapters += 1
      judged.byStatus[row.status] = (judged.byStatus[row.status] ?? 0) + 1
      made.set(row.n, (made.get(row.n) ?? 0) + 1)
      seen.add(row.id)
      const log = logs.get(row.id) ?? []
      judged.events += log.length
      judgeChapter(row, log, ledger.chapters.get(row.id), results.get(row.id) ?? [], options)
    }
    after = rows.at(-1)?.id ?? after
  }
  for (const { id, n } of ledger.chapters.values())
    if (!seen.has(id)) findings.found('lostCreate', `chapter ${id} of request ${n} is not there`)
  for (const [n, count] of made)
    if (count > (ledger.requests.get(n) ?? 0))
      findings.found('doubledCreate', `request ${n} made ${count} chapters`)
  for (const { chapter, who, last, inSince } of watchers.watchings) {
    const lastSeq = chapter.settled?.lastSeq ?? 0
    const missed = Math.max(0, lastSeq - last)
    for (let count = 0; count < missed; count += 1)
      findings.found(
        'missed',
        `chapter ${chapter.id}: ${who} heard up to ${last} of ${lastSeq}, in since ${inSince}`,
      )
  }
  await judgeCourses(options)
  for (const who of watchers.away()) findings.found('stayedAway', `${who} is not connected`)
  return judged
}

function judgeChapter(
  row: ChapterRow,
  log: readonly LoggedEvent[],
  known: KnownChapter | undefined,
  results: readonly AckedResult[],
  { findings, notices }: JudgeOptions,
): void {
  const found: Findings['found'] = (promise, what) => findings.found(promise, `chapter ${row.id}: ${what}`)
  for (const [promise, what] of judgeLog({ status: row.status, lastSeq: row.last_seq }, log))
    found(promise, what)
  if (row.status !== 'processing' && row.open_jobs > 0)
    found('hanging', `${row.status}, with ${row.open_jobs} open jobs`)
  if (row.status === 'completed' && !row.is_whole) found('unwhole', 'completed')
  for (const { seq, name } of log)
    if ((END_EVENTS as readonly string[]).includes(name) && !notices.has(`${row.id}-${seq}`))
      found('notice', `${seq} ${name}`)

  const marks = new Set(row.marks)
  const counted = new Map<string, number>()
  for (const { kind, revision, mark, post } of results) {
    if (!marks.has(mark)) found('lostResult', `${mark} (post ${post}) is none of ${[...marks].join('; ')}`)
    const result = `${kind} ${revision}`
    if (counted.has(result)) found('doubledResult', `${result}: posts ${counted.get(result)} and ${post}`)
    counted.set(result, post)
  }

  if (known === undefined) return
  const count = (name: string) => log.filter((event) => event.name === name).length
  if (known.isCancelled && row.status !== 'cancelled') found('lostAct', `cancelled, and is ${row.status}`)
  if (known.retries > count('chapter_retrying')) found('lostAct', `${known.retries} retries`)
  for (const { kind, revision } of known.regenerations)
    if (!log.some(({ name, payload }) => name === `${kind}_regenerating` && payload.revision === revision))
      found('lostAct', `revision ${revision} of ${kind}`)
}

/** What is known of a course says where each of its chapters is. It may be late. */
async function judgeCourses({ databaseUrl, watchers: { courses }, findings }: JudgeOptions): Promise<void> {
  const rows = await query<{ id: number; course_id: number; status: string }>(
    databaseUrl,
    'select id::float8 as id, course_id::float8 as course_id, status from chapter',
  )
  const differing = () => {
    const known = new Map<number, string>()
    for (const { snapshot } of courses.values())
      for (const { chapter_id, status } of snapshot.chapters) known.set(chapter_id, status)
    return rows.flatMap(({ id, course_id, status }) =>
      !courses.has(course_id) || known.get(id) === status
        ? []
        : [`chapter ${id} of course ${course_id} is ${status}, and was heard to be ${known.get(id)}`],
    )
  }
  const until = Date.now() + COURSE_MS
  while (differing().length > 0 && Date.now() < until) await delay(200)
  for (const what of differing()) findings.found('course', what)
}

/** A mark is the text by which a result tells whose it is; those of earlier revisions are kept as JSON. */
async function readChapters(databaseUrl: string, after: number): Promise<ChapterRow[]> {
  const rows = await query<ChapterRow>(
    databaseUrl,
    `select c.id::float8 as id, c.status, c.last_seq::float8 as last_seq, coalesce((c.metadata ->> 'n')::float8, -1) as n,
      co.is_complete and ex.is_complete and q.quizzes = c.quiz_count and q.whole as is_whole,
      (select count(*)::float8 from job j where j.chapter_id = c.id and j.status in ('queued', 'published')) as open_jobs,
      to_json(array[co.title, ex.question, q.mark] || array(
        select coalesce(r.result ->> 'title', r.result ->> 'question', r.result -> 'quizzes' -> 0 ->> 'question')
        from revision r where r.chapter_id = c.id)) as marks
     from chapter c join concept co on co.chapter_id = c.id join exercise ex on ex.chapter_id = c.id
     cross join lateral (select count(*) as quizzes, bool_and(is_complete) as whole,
       min(question) filter (where position = 1) as mark from quiz where chapter_id = c.id) q
     where c.id > ${after} order by c.id limit ${AT_ONCE}`,
  )
  return rows.map((row) => ({ ...row, marks: row.marks.map((mark) => mark?.replace(/ #\d$/, '') ?? null) }))
}

async function readLogs(
  databaseUrl: string,
  after: number,
  last: number,
): Promise<Map<number, LoggedEvent[]>> {
  const rows = await query<{
    chapter_id: number
    seq: number
    name: string
    payload: LoggedEvent['payload']
  }>(
    databaseUrl,
    `select chapter_id::float8 as chapter_id, seq::float8 as seq, name, payload from event
     where chapter_id > ${after} and chapter_id <= ${last} order by chapter_id, seq`,
  )
  const logs = new Map<number, LoggedEvent[]>()
  for (const { chapter_id, seq, name, payload } of rows) {
    const log = logs.get(chapter_id) ?? []
    logs.set(chapter_id, log)
    log.push({ seq, name, payload })
  }
  return logs
}
