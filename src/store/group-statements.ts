/**
 * The two statements of a commit group. A group of any size is the same statement, planned once.
 */
import { sql } from 'drizzle-orm'
import { jsonParameter } from './database.js'

const CREATED_FIELDS = sql.raw(`
  json_build_object(
    'create_id', c.create_id, 'chapter_id', c.id, 'status', c.status, 'created_at', c.created_at,
    'quiz_count', c.quiz_count,
    'concept_id', (select id from concept where chapter_id = c.id),
    'exercise_id', (select id from exercise where chapter_id = c.id),
    'quiz_ids', (select json_agg(id order by position) from quiz where chapter_id = c.id))`)

const drawn = (sequence: string, count: string) => sql`
  (select coalesce(json_agg(nextval(${sql.raw(`'${sequence}'`)})), '[]')
     from generate_series(1, ${sql.placeholder(count)}::int))`

export const GROUP_READ = sql`
select json_build_object(
  'chapters', (
    select coalesce(json_agg(json_build_object(
      'chapter', c, 'concept_id', concept.id, 'exercise_id', exercise.id,
      'jobs', (select json_agg(job) from job where job.chapter_id = c.id))), '[]')
    from chapter c
      join concept on concept.chapter_id = c.id
      join exercise on exercise.chapter_id = c.id
    where c.id in (select x::bigint from json_array_elements_text(${jsonParameter('chapterIds')}) x)),
  'created', (
    select coalesce(json_agg(${CREATED_FIELDS}), '[]')
    from chapter c
    where c.create_id in (select x::uuid from json_array_elements_text(${jsonParameter('createIds')}) x)),
  'keys', (
    select coalesce(json_agg(json_build_object(
      'owner_id', k.owner_id, 'key', k.key, 'body_hash', k.body_hash, 'chapter', ${CREATED_FIELDS})), '[]')
    from json_to_recordset(${jsonParameter('keys')}) as wanted(owner_id bigint, key text)
      join idempotency_key k on k.owner_id = wanted.owner_id and k.key = wanted.key
      join chapter c on c.id = k.chapter_id),
  'ids', json_build_object(
    'chapters', ${drawn('chapter_id_seq', 'newChapters')},
    'concepts', ${drawn('concept_id_seq', 'newChapters')},
    'exercises', ${drawn('exercise_id_seq', 'newChapters')},
    'quizzes', ${drawn('quiz_id_seq', 'newQuizzes')})) as answer`

/**
 * `moved` takes, in id order and without waiting, only chapters that are still at the version that was
 * decided on; everything else is written for those (`written`) and for new chapters alone. Creates whose
 * idempotency key was taken meanwhile insert nothing. Rows that others may have locked for a moment (keys,
 * jobs) are taken in one order by all, so that nothing can deadlock.
 */
export const GROUP_WRITE = sql`
with change as (
  select * from json_to_recordset(${jsonParameter('chapters')}) as x(
    id bigint, expected bigint, version bigint, write_id uuid, last_seq bigint, quiz_count int, status text,
    progress float8, progress_version bigint, latest_progress json, updated_at timestamptz,
    log_ended_at timestamptz, completed_at timestamptz)
), unmoved as materialized (
  select c.id from chapter c join change on change.id = c.id and change.expected = c.version
  order by c.id for update of c skip locked
), changed as (
  update chapter c set
    version = x.version, write_id = x.write_id, last_seq = x.last_seq, quiz_count = x.quiz_count,
    status = x.status, progress = x.progress, progress_version = x.progress_version,
    latest_progress = x.latest_progress, updated_at = x.updated_at, log_ended_at = x.log_ended_at,
    completed_at = x.completed_at
  from change x join unmoved on unmoved.id = x.id
  where c.id = x.id
  returning c.id
), creation as (
  select * from json_to_recordset(${jsonParameter('creations')}) as x(
    id bigint, version bigint, write_id uuid, create_id uuid, last_seq bigint, course_id bigint, owner_id bigint,
    title text, description text, locale text, metadata json, quiz_count int, status text, progress float8,
    created_at timestamptz, concept_id bigint, exercise_id bigint, key text, body_hash text, traceparent text)
), keyed as (
  insert into idempotency_key (owner_id, key, body_hash, chapter_id, created_at)
  select owner_id, key, body_hash, id, created_at from creation where key is not null
  order by owner_id, key
  on conflict (owner_id, key) do nothing
  returning chapter_id
), created as (
  insert into chapter (id, version, write_id, create_id, last_seq, course_id, owner_id, title, description,
    locale, metadata, quiz_count, status, progress, created_at, updated_at, traceparent)
  select id, version, write_id, create_id, last_seq, course_id, owner_id, title, description,
    locale, metadata, quiz_count, status, progress, created_at, created_at, traceparent
  from creation where key is null or id in (select chapter_id from keyed)
  order by id
  returning id
), written as (
  select id from changed union all select id from created
), new_concept as (
  insert into concept (id, chapter_id) select concept_id, id from creation join created using (id)
), new_exercise as (
  insert into exercise (id, chapter_id) select exercise_id, id from creation join created using (id)
), new_quiz as (
  insert into quiz (id, chapter_id, position)
  select x.id, x.chapter_id, x.position
  from json_to_recordset(${jsonParameter('newQuizzes')}) as x(id bigint, chapter_id bigint, position int)
    join created on created.id = x.chapter_id
), jobs as (
  insert into job (chapter_id, kind, job_id, status, attempt, max_attempts, progress, requested_at, due_at,
    deadline_at, started_at, last_sign_at, reason, error, leased_until)
  select chapter_id, kind, job_id, status, attempt, max_attempts, progress, requested_at, due_at,
    deadline_at, started_at, last_sign_at, reason, error, leased_until
  from json_to_recordset(${jsonParameter('jobs')}) as x(
    chapter_id bigint, kind text, job_id uuid, status text, attempt int, max_attempts int, progress float8,
    requested_at timestamptz, due_at timestamptz, deadline_at timestamptz, started_at timestamptz,
    last_sign_at timestamptz, reason text, error text, leased_until timestamptz)
    join written on written.id = x.chapter_id
  order by chapter_id, kind
  on conflict (chapter_id, kind) do update set
    job_id = excluded.job_id, status = excluded.status, attempt = excluded.attempt,
    max_attempts = excluded.max_attempts, progress = excluded.progress, requested_at = excluded.requested_at, due_at = excluded.due_at,
    deadline_at = excluded.deadline_at, started_at = excluded.started_at, last_sign_at = excluded.last_sign_at,
    reason = excluded.reason, error = excluded.error, leased_until = excluded.leased_until,
    held_until = case when excluded.status = 'queued' then null else job.held_until end
), concepts as (
  update concept c set title = x.title, content = x.content, is_complete = true
  from json_to_recordset(${jsonParameter('concepts')}) as x(chapter_id bigint, title text, content text)
    join changed on changed.id = x.chapter_id
  where c.chapter_id = x.chapter_id
), exercises as (
  update exercise e set question = x.question, answer = x.answer, difficulty = x.difficulty, is_complete = true
  from json_to_recordset(${jsonParameter('exercises')}) as x(
    chapter_id bigint, question text, answer text, difficulty text)
    join changed on changed.id = x.chapter_id
  where e.chapter_id = x.chapter_id
), quizzes as (
  insert into quiz (chapter_id, position, question, correct_answer, options, type, is_complete)
  select chapter_id, position, question, correct_answer, options, type, true
  from json_to_recordset(${jsonParameter('quizzes')}) as x(
    chapter_id bigint, position int, question text, correct_answer text, options json, type text)
    join changed on changed.id = x.chapter_id
  on conflict (chapter_id, position) do update set
    question = excluded.question, correct_answer = excluded.correct_answer, options = excluded.options,
    type = excluded.type, is_complete = true
), surplus as (
  delete from quiz q
  using json_to_recordset(${jsonParameter('quizCounts')}) as x(chapter_id bigint, quiz_count int)
    join changed on changed.id = x.chapter_id
  where q.chapter_id = x.chapter_id and q.position > x.quiz_count
), events as (
  insert into event (chapter_id, seq, name, payload)
  select chapter_id, seq, name, payload
  from json_to_recordset(${jsonParameter('events')}) as x(chapter_id bigint, seq bigint, name text, payload json)
    join written on written.id = x.chapter_id
), letters as (
  insert into dead_letter (job_id, chapter_id, kind, attempt, max_attempts, requested_at, deadline_at, reason,
    error, failed_at)
  select job_id, chapter_id, kind, attempt, max_attempts, requested_at, deadline_at, reason, error, failed_at
  from json_to_recordset(${jsonParameter('deadLetters')}) as x(
    job_id uuid, chapter_id bigint, kind text, attempt int, max_attempts int, requested_at timestamptz,
    deadline_at timestamptz, reason text, error text, failed_at timestamptz)
    join changed on changed.id = x.chapter_id
)
select id from written`
