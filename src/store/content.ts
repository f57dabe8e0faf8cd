/**
 * The content of one kind of a chapter in SQL: as a finish has it, and when it was stored. For what is written again, and
 * for messages about it; the first finish of a kind needs none of this.
 */
import { type SQL, sql } from 'drizzle-orm'
import { JOB_KINDS, type JobKind } from '../contract/job.js'

/** JSON as a finish has it, answers included; null while there is no content. */
export function contentOf(chapterId: SQL, kind: SQL): SQL {
  const cases = JOB_KINDS.map((each) => sql`when ${sql.raw(`'${each}'`)} then (${CONTENT[each](chapterId)})`)
  return sql`case ${kind} ${sql.join(cases, sql` `)} end`
}

const CONTENT: Record<JobKind, (chapterId: SQL) => SQL> = {
  concept: (chapterId) => sql`
    select json_build_object('title', title, 'content', content)
    from concept where chapter_id = ${chapterId} and is_complete`,
  exercise: (chapterId) => sql`
    select json_build_object('question', question, 'answer', answer, 'difficulty', difficulty)
    from exercise where chapter_id = ${chapterId} and is_complete`,
  quiz: (chapterId) => sql`
    select json_build_object('quizzes', json_agg(json_build_object(
      'question', question, 'correct_answer', correct_answer, 'options', options, 'type', type) order by position))
    from quiz where chapter_id = ${chapterId} and is_complete having count(*) > 0`,
}

/** By the log; null when it has been deleted. */
export function storedAt(chapterId: SQL, kind: SQL): SQL {
  return sql`(
    select (e.payload ->> 'at')::timestamptz from event e
    where e.chapter_id = ${chapterId} and e.name = ${kind} || '_completed'
    order by e.seq desc limit 1)`
}
