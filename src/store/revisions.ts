/**
 * What was written before: a kind’s revisions, and the attempts that have ended. Reads only; both are written with the
 * decisions they belong to (`group-statements.ts`).
 */
import { sql } from 'drizzle-orm'
import { HISTORY_LENGTH, type JobKind } from '../contract/job.js'
import type { RevisionSummary } from '../contract/revision.js'
import type { RecordOf } from '../contract/wire.js'
import type { EndedAttempt } from '../domain/command.js'
import { contentOf, storedAt } from './content.js'
import { type Db, prepare } from './prepared.js'
import { recordFields } from './records.js'
import * as table from './schema.js'

export type Revision = RecordOf<RevisionSummary>

/** What permission depends on. */
interface ChapterOwnership {
  chapterId: number
  ownerId: number
  courseId: number
}

export interface KindRevisions {
  chapter: ChapterOwnership
  /** Those that have content, oldest first. */
  revisions: Revision[]
}

export interface RevisionContent {
  chapter: ChapterOwnership
  revision: Revision
  /** As a finish has it. */
  content: Record<string, unknown>
}

/** By kind: the latest attempts, oldest first, and when the content of a completed job was stored, if that is known. */
export type ChapterHistory = Partial<Record<JobKind, { attempts: EndedAttempt[]; storedAt: number | null }>>

export interface RevisionStore {
  /** undefined: there is no such chapter. */
  readRevisions(chapterId: number, kind: JobKind): Promise<KindRevisions | undefined>
  /** undefined: there is no such chapter; `null`: it has no such revision. */
  readRevision(
    chapterId: number,
    kind: JobKind,
    revision: number,
  ): Promise<RevisionContent | { chapter: ChapterOwnership; revision: null } | undefined>
  readHistory(chapterId: number): Promise<ChapterHistory>
}

interface RevisionsRow {
  chapter: ChapterOwnership
  /** The revision of the content there is. */
  current: number | null
  storedAt: number
  rows: { revision: number; instruction: string | null; createdAt: number; hasResult: boolean }[]
}

export function createRevisionStore(db: Db): RevisionStore {
  const list = prepare<{ found: RevisionsRow }>(db, 'read_revisions', READ_REVISIONS)
  const one = prepare<{ content: Record<string, unknown> | null }>(db, 'read_revision', READ_REVISION)
  const history = prepare<{ kind: JobKind; history: NonNullable<ChapterHistory[JobKind]> }>(
    db,
    'read_history',
    READ_HISTORY,
  )

  async function readRevisions(chapterId: number, kind: JobKind): Promise<KindRevisions | undefined> {
    const [row] = await list({ chapterId, kind })
    return row === undefined
      ? undefined
      : { chapter: { ...row.found.chapter, chapterId }, revisions: revisionsOf(row.found) }
  }

  return {
    readRevisions,
    async readRevision(chapterId, kind, wanted) {
      const known = await readRevisions(chapterId, kind)
      if (known === undefined) return undefined
      const revision = known.revisions.find((each) => each.revision === wanted)
      const [row] = revision === undefined ? [] : await one({ chapterId, kind, revision: wanted })
      const content = row?.content ?? null
      // Also gone when the chapter was deleted between the two reads.
      return revision === undefined || content === null
        ? { chapter: known.chapter, revision: null }
        : { chapter: known.chapter, revision, content }
    },
    async readHistory(chapterId) {
      const rows = await history({ chapterId })
      return Object.fromEntries(rows.map((row) => [row.kind, row.history]))
    },
  }
}

function revisionsOf({ current, storedAt: currentAt, rows }: RevisionsRow): Revision[] {
  const revisions = rows
    .filter(({ revision, hasResult }) => hasResult || revision === current)
    .map(({ revision, instruction, createdAt, hasResult }) => {
      const isCurrent = revision === current
      return { revision, instruction, createdAt: isCurrent && !hasResult ? currentAt : createdAt, isCurrent }
    })
  if (current !== null && !revisions.some(({ isCurrent }) => isCurrent))
    revisions.push({ revision: current, instruction: null, createdAt: currentAt, isCurrent: true })
  return revisions.sort((a, b) => a.revision - b.revision)
}

const chapterId = sql`${sql.placeholder('chapterId')}::bigint`
const kind = sql`${sql.placeholder('kind')}::text`
const CURRENT = sql`coalesce(j.kept_revision, case when j.status = 'completed' then j.revision end)`

const READ_REVISIONS = sql`
select json_build_object(
  'chapter', json_build_object(${recordFields(table.chapter, 'c', ['ownerId', 'courseId'])}),
  'current', ${CURRENT},
  'storedAt', (date_part('epoch', coalesce(${storedAt(sql`c.id`, sql`j.kind`)}, c.updated_at)) * 1000)::bigint,
  'rows', (
    select coalesce(json_agg(json_build_object(
      ${recordFields(table.revision, 'r', ['revision', 'instruction', 'createdAt'])},
      'hasResult', r.result is not null)), '[]')
    from revision r where r.chapter_id = c.id and r.kind = j.kind)) as found
from chapter c join job j on j.chapter_id = c.id and j.kind = ${kind}
where c.id = ${chapterId}`

const READ_REVISION = sql`
select case when ${CURRENT} = ${sql.placeholder('revision')}::int
  then ${contentOf(sql`j.chapter_id`, sql`j.kind`)}
  else (
    select r.result from revision r
    where r.chapter_id = j.chapter_id and r.kind = j.kind and r.revision = ${sql.placeholder('revision')}::int)
  end as content
from job j where j.chapter_id = ${chapterId} and j.kind = ${kind}`

const READ_HISTORY = sql`
select j.kind, json_build_object(
  'storedAt', case when j.status = 'completed' and j.kept_revision is null
    then (date_part('epoch', ${storedAt(sql`j.chapter_id`, sql`j.kind`)}) * 1000)::bigint end,
  'attempts', (
    select coalesce(
      json_agg(json_build_object(${recordFields(table.attempt, 'a')}) order by a.ended_at, a.revision, a.attempt), '[]')
    from (
      select * from attempt a
      where a.chapter_id = j.chapter_id and a.kind = j.kind
      order by a.ended_at desc, a.revision desc, a.attempt desc
      limit ${sql.raw(String(HISTORY_LENGTH))}) a)) as history
from job j where j.chapter_id = ${chapterId}`
