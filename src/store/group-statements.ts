/**
 * The two statements of a commit group. Each is put together from the parts that the group needs, so a group of one
 * finish pays for no keys, creates or dead letters; every combination that occurs is prepared once.
 */
import { type SQL, sql } from 'drizzle-orm'
import { contentOf, storedAt } from './content.js'
import {
  assignments,
  columnNames,
  excludedAssignments,
  keysOf,
  recordFields,
  recordset,
  recordValues,
} from './records.js'
import * as table from './schema.js'

/** What never changes after a chapter is created, or is set by the statements themselves. */
const FIXED = ['createId', 'courseId', 'ownerId', 'title', 'description', 'locale', 'metadata', 'traceparent']
export const CHANGING_KEYS = keysOf(table.chapter, ['id', ...FIXED, 'createdAt', 'logFrom', 'logEndedAt'])
export const CREATION_KEYS = keysOf(table.chapter, ['logFrom', 'logEndedAt'])
const STATE_KEYS = keysOf(table.chapter, ['writeId', 'createId', 'logFrom', 'logEndedAt'])
export const JOB_KEYS = keysOf(table.job, ['chapterId', 'leasedUntil', 'heldUntil', 'ownerId', 'placedAt'])

const JOB_ROW = ['chapterId', ...JOB_KEYS, 'leasedUntil']
/** What a finish fills in. */
export const CONTENT = {
  concept: keysOf(table.concept, ['id', 'chapterId', 'isComplete']),
  exercise: keysOf(table.exercise, ['id', 'chapterId', 'isComplete']),
  quiz: keysOf(table.quiz, ['id', 'chapterId', 'position', 'isComplete']),
}
const QUIZ_ROW = ['chapterId', 'position', ...CONTENT.quiz]
const ATTEMPT_SENT = keysOf(table.attempt, ['endedAt'])
const REVISION_SENT = keysOf(table.revision, ['result'])
const LETTER_ROW = keysOf(table.deadLetter, ['leasedUntil'])

const STATE = sql`
  json_build_object(${recordFields(table.chapter, 'c', STATE_KEYS)},
    'conceptId', (select id from concept where chapter_id = c.id),
    'exerciseId', (select id from exercise where chapter_id = c.id),
    'jobs', (
      select json_object_agg(j.kind, json_build_object(${recordFields(table.job, 'j', JOB_KEYS)}))
      from job j where j.chapter_id = c.id))`

const STORED = sql`json_build_object('writeId', c.write_id, 'state', ${STATE})`

const CREATED = sql`
  json_build_object('chapterId', c.id, ${recordFields(table.chapter, 'c', ['status', 'createdAt', 'quizCount'])},
    'conceptId', (select id from concept where chapter_id = c.id),
    'exerciseId', (select id from exercise where chapter_id = c.id),
    'quizIds', (select json_agg(id order by position) from quiz where chapter_id = c.id))`

const drawn = (sequence: string, count: string) => sql`
  (select coalesce(json_agg(nextval(${sql.raw(`'${sequence}'`)})), '[]')
     from generate_series(1, ${sql.placeholder(count)}::int))`

/** Parts of the read, by the field of the answer. */
const READ_PARTS = {
  chapters: sql`(
    select coalesce(json_agg(${STORED}), '[]')
    from chapter c where c.id = any(string_to_array(${sql.placeholder('chapterIds')}::text, ',')::bigint[]))`,
  created: sql`(
    select coalesce(json_agg(json_build_object('createId', c.create_id, 'chapter', ${CREATED})), '[]')
    from chapter c where c.create_id = any(string_to_array(${sql.placeholder('createIds')}::text, ',')::uuid[]))`,
  keys: sql`(
    select coalesce(json_agg(json_build_object(
      ${recordFields(table.idempotencyKey, 'k', ['ownerId', 'key', 'bodyHash'])}, 'chapters',
      case when k.chapter_ids is null then json_build_array(${CREATED}) else (
        select json_agg(${CREATED} order by made.place)
        from json_array_elements_text(k.chapter_ids) with ordinality as made(id, place)
          join chapter c on c.id = made.id::bigint) end)), '[]')
    from ${recordset(table.idempotencyKey, 'keys', ['ownerId', 'key'])}
      join idempotency_key k on k.owner_id = x."ownerId" and k.key = x.key
      join chapter c on c.id = k.chapter_id)`,
  ids: sql`json_build_object(
    'chapters', ${drawn('chapter_id_seq', 'newChapters')},
    'concepts', ${drawn('concept_id_seq', 'newChapters')},
    'exercises', ${drawn('exercise_id_seq', 'newChapters')},
    'quizzes', ${drawn('quiz_id_seq', 'newQuizzes')})`,
}
export type ReadPart = keyof typeof READ_PARTS

/** Locks nothing. */
export function groupRead(parts: readonly ReadPart[]): SQL {
  const fields = parts.map((part) => sql`${sql.raw(`'${part}'`)}, ${READ_PARTS[part]}`)
  return sql`select json_build_object(${sql.join(fields, sql`, `)}) as answer`
}

/** The lists that a write may have, in the order of their parts. */
export const WRITE_LISTS = [
  'changes',
  'creations',
  'deletions',
  'newQuizzes',
  'newJobs',
  'jobs',
  'concepts',
  'exercises',
  'quizzes',
  'events',
  'deadLetters',
  'attempts',
  'revisions',
] as const
export type WriteList = (typeof WRITE_LISTS)[number]

/**
 * Writes what a group decided, whole chapter by whole chapter.
 *
 * `unmoved` takes, in id order and without waiting, only chapters that are still at the version that was decided on.
 * Everything else is written for those (`changed`) and for new chapters (`created`) alone. A create whose idempotency
 * key was taken meanwhile inserts nothing. Other statements skip rows that this one has locked, so it cannot deadlock.
 * @returns the `id` of each chapter that was written; as `moved`, those that exist and were not, as they are
 */
export function groupWrite(lists: readonly WriteList[]): SQL {
  const written = [
    ...(lists.includes('changes') ? [sql`select id from changed`] : []),
    ...(lists.includes('creations') ? [sql`select id from created`] : []),
    ...(lists.includes('deletions') ? [sql`select id from deleted`] : []),
  ]
  const parts = [
    ...lists.filter(isFirst).map((name) => WRITE_PARTS[name]),
    sql`written as (${sql.join(written, sql` union all `)})`,
    ...lists.filter((name) => !isFirst(name)).map((name) => WRITE_PARTS[name]),
  ]
  const moved = sql` union all
    select c.id, ${STORED} from chapter c join change using (id)
    where change.id not in (select id from changed)`
  return sql`with ${sql.join(parts, sql`, `)}
    select id, null::json as moved from written ${lists.includes('changes') ? moved : sql``}`
}

const isFirst = (name: WriteList) => name === 'changes' || name === 'creations' || name === 'deletions'

/** The publisher's mark may come between a decision's read and its write: the job then stays as it was marked. */
const IS_SAME_WORK = sql`x.status = 'queued' and job.job_id = x."jobId"
  and job.attempt = x.attempt and job.due_at = to_timestamp(x."dueAt" / 1000)::timestamptz(3)`
const IS_MARKED = sql`job.status = 'published' and ${IS_SAME_WORK}`
/** It was given a place in the window, and is being sent: a decision that leaves it queued does not take its place. */
const HAS_PLACE = sql`job.placed_at is not null and job.status = 'queued' and ${IS_SAME_WORK}`

const WRITE_PARTS: Record<WriteList, SQL> = {
  changes: sql`
change as (
  select * from ${recordset(table.chapter, 'changes', ['id', ...CHANGING_KEYS], {
    expectedVersion: 'bigint',
    expectedWriteId: 'uuid',
  })}
), unmoved as materialized (
  select c.id from chapter c join change on change.id = c.id and change."expectedVersion" = c.version
    and coalesce(change."expectedWriteId", c.write_id) = c.write_id
  order by c.id for update of c skip locked
), changed as (
  update chapter c set ${assignments(table.chapter, CHANGING_KEYS)},
    log_ended_at = case when x.status = 'processing' then null else to_timestamp(x."updatedAt" / 1000) end
  from change x join unmoved on unmoved.id = x.id
  where c.id = x.id
  returning c.id, c.owner_id
)`,
  creations: sql`
creation as (
  select * from ${recordset(table.chapter, 'creations', CREATION_KEYS, {
    conceptId: 'bigint',
    exerciseId: 'bigint',
    key: 'text',
    bodyHash: 'text',
    chapterIds: 'json',
    keyedBy: 'bigint',
  })}
), keyed as (
  insert into idempotency_key (owner_id, key, body_hash, chapter_id, chapter_ids, created_at)
  select x."ownerId", x.key, x."bodyHash", x.id, x."chapterIds", to_timestamp(x."createdAt" / 1000)
  from creation x where x.key is not null
  order by 1, 2
  on conflict (owner_id, key) do nothing
  returning chapter_id
), created as (
  insert into chapter (${columnNames(table.chapter, CREATION_KEYS)})
  select ${recordValues(table.chapter, CREATION_KEYS)}
  from creation x where x."keyedBy" is null or x."keyedBy" in (select chapter_id from keyed)
  order by x.id
  returning id, owner_id
), new_concept as (
  insert into concept (id, chapter_id) select "conceptId", id from creation join created using (id)
), new_exercise as (
  insert into exercise (id, chapter_id) select "exerciseId", id from creation join created using (id)
)`,
  deletions: sql`
deletion as (
  select * from ${recordset(table.chapter, 'deletions', ['id'], { expectedVersion: 'bigint' })}
), unmoved_either as materialized (
  select c.id from chapter c join deletion x on x.id = c.id and x."expectedVersion" = c.version
  order by c.id for update of c skip locked
), deleted as (
  delete from chapter c using unmoved_either x where c.id = x.id returning c.id
)`,
  newQuizzes: sql`
new_quiz as (
  insert into quiz (id, chapter_id, position)
  select x.id, x."chapterId", x.position
  from ${recordset(table.quiz, 'newQuizzes', ['id', 'chapterId', 'position'])}
    join created on created.id = x."chapterId"
)`,
  newJobs: sql`
new_job as (
  insert into job (${columnNames(table.job, JOB_ROW)}, owner_id)
  select ${recordValues(table.job, JOB_ROW)}, created.owner_id
  from ${recordset(table.job, 'newJobs', JOB_ROW)} join created on created.id = x."chapterId"
)`,
  jobs: sql`
changed_job as (
  update job set ${assignments(
    table.job,
    JOB_KEYS.filter((key) => !['kind', 'status', 'deadlineAt'].includes(key)),
  )},
    status = case when ${IS_MARKED} then job.status else x.status end,
    deadline_at = case when ${IS_MARKED} then job.deadline_at else to_timestamp(x."deadlineAt" / 1000) end,
    leased_until = case when ${IS_MARKED} then null when ${HAS_PLACE} then job.leased_until
      else to_timestamp(x."leasedUntil" / 1000) end,
    placed_at = case when ${HAS_PLACE} then job.placed_at end,
    owner_id = changed.owner_id,
    held_until = case when x.status = 'queued' and not (${IS_MARKED}) then null else job.held_until end
  from ${recordset(table.job, 'jobs', JOB_ROW)} join changed on changed.id = x."chapterId"
  where job.chapter_id = x."chapterId" and job.kind = x.kind
)`,
  concepts: sql`
concepts as (
  update concept set ${assignments(table.concept, CONTENT.concept)}, is_complete = true
  from ${recordset(table.concept, 'concepts', ['chapterId', ...CONTENT.concept])}
    join changed on changed.id = x."chapterId"
  where concept.chapter_id = x."chapterId"
)`,
  exercises: sql`
exercises as (
  update exercise set ${assignments(table.exercise, CONTENT.exercise)}, is_complete = true
  from ${recordset(table.exercise, 'exercises', ['chapterId', ...CONTENT.exercise])}
    join changed on changed.id = x."chapterId"
  where exercise.chapter_id = x."chapterId"
)`,
  quizzes: sql`
given as (
  select x.* from ${recordset(table.quiz, 'quizzes', QUIZ_ROW)} join changed on changed.id = x."chapterId"
), quizzes as (
  insert into quiz (${columnNames(table.quiz, QUIZ_ROW)}, is_complete)
  select ${recordValues(table.quiz, QUIZ_ROW)}, true from given x
  on conflict (chapter_id, position) do update set
    ${excludedAssignments(table.quiz, CONTENT.quiz)}, is_complete = true
), surplus as (
  delete from quiz using (select "chapterId", max(position) as count from given group by 1) kept
  where quiz.chapter_id = kept."chapterId" and quiz.position > kept.count
)`,
  events: sql`
events as (
  insert into event (chapter_id, seq, name, payload)
  select x."chapterId", x.seq, x.name, x.payload
  from ${recordset(table.event, 'events')} join written on written.id = x."chapterId"
)`,
  deadLetters: sql`
letters as (
  insert into dead_letter (${columnNames(table.deadLetter, LETTER_ROW)})
  select ${recordValues(table.deadLetter, LETTER_ROW)}
  from ${recordset(table.deadLetter, 'deadLetters', LETTER_ROW)} join changed on changed.id = x."chapterId"
)`,
  attempts: sql`
attempts as (
  insert into attempt (${columnNames(table.attempt, ATTEMPT_SENT)}, ended_at)
  select ${recordValues(table.attempt, ATTEMPT_SENT)},
    coalesce(to_timestamp(x."endedAt" / 1000), ${storedAt(sql`x."chapterId"`, sql`x.kind`)}, x_changed.updated_at)
  from ${recordset(table.attempt, 'attempts')}
    join changed on changed.id = x."chapterId"
    join chapter x_changed on x_changed.id = x."chapterId"
  where x."endedAt" is not null or not exists (
    select from attempt a
    where a.chapter_id = x."chapterId" and a.kind = x.kind and a.job_id = x."jobId" and a.attempt = x.attempt)
  on conflict (chapter_id, kind, job_id, attempt) do update set
    outcome = excluded.outcome, ended_at = excluded.ended_at, reason = excluded.reason, error = excluded.error
)`,
  // Those that were never written go, and the oldest. The statement does not see the rows that it adds.
  revisions: sql`
begun as (
  select x.* from ${recordset(table.revision, 'revisions', REVISION_SENT, { keptRevision: 'int', maxRevisions: 'int' })}
    join changed on changed.id = x."chapterId"
), outdated as (
  delete from revision r using begun x
  where r.chapter_id = x."chapterId" and r.kind = x.kind and r.revision is distinct from x."keptRevision"
    and (r.result is null or r.revision <= (
      select e.revision from revision e
      where e.chapter_id = x."chapterId" and e.kind = x.kind and e.result is not null
        and e.revision < x."keptRevision"
      order by e.revision desc offset x."maxRevisions" - 1 limit 1))
), revisions as (
  insert into revision (chapter_id, kind, revision, instruction, result, created_at)
  select x."chapterId", x.kind, x.revision, x.instruction, null::json, to_timestamp(x."createdAt" / 1000)
  from begun x
  union all
  select x."chapterId", x.kind, x."keptRevision", null, ${contentOf(sql`x."chapterId"`, sql`x.kind`)},
    coalesce(${storedAt(sql`x."chapterId"`, sql`x.kind`)}, c.updated_at)
  from begun x join chapter c on c.id = x."chapterId"
  where x."keptRevision" is not null
  on conflict (chapter_id, kind, revision) do update set
    result = excluded.result,
    created_at = case when revision.result is null then excluded.created_at else revision.created_at end
)`,
}
