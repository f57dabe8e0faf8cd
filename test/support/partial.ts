/**
 * Text so far in tests: what workers post, and what a client makes of the updates that it hears.
 */
import type { JobKind } from '../../src/contract/job.js'
import { type Answer, type Heard, post, request } from './client.js'

export interface WorkNames {
  job_id: string
  attempt: number
}

/** The names of a job's current work. */
export async function workOf(url: string, chapterId: number, kind: JobKind): Promise<WorkNames> {
  const { body } = await request(`${url}/v1/chapter/${chapterId}`)
  const job = body.jobs.find((each: { kind: JobKind }) => each.kind === kind)
  return { job_id: job.job_id, attempt: job.attempt }
}

/** Posts as a worker with the address of its message: named there, not in the body. */
export function postPartial(
  url: string,
  chapterId: number,
  kind: JobKind,
  body: object,
  { job_id, attempt }: WorkNames,
): Promise<Answer> {
  return post(`${url}/v1/chapter/${chapterId}/${kind}-partial?job_id=${job_id}&attempt=${attempt}`, body)
}

export interface Reader {
  /** Text, or the questions of a quiz; undefined: nothing yet, or nothing any more. */
  content: string | object[] | undefined
  attempt: number | undefined
  /** Updates that did not follow what was there. */
  faults: string[]
}

/** What a client has in hand of a kind after these messages, and what was wrong with them. */
export function readPartials(heard: readonly Heard[], chapterId: number, kind: JobKind): Reader {
  const reader: Reader = { content: undefined, attempt: undefined, faults: [] }
  const ends = ['completed', 'failed', 'retrying'].map((what) => `${kind}_${what}`)
  for (const { name, payload } of heard) {
    if (payload?.chapter_id !== chapterId) continue
    if (ends.includes(name)) {
      reader.content = undefined
      reader.attempt = undefined
    }
    if (name !== `${kind}_partial`) continue
    const { attempt, offset, text, quizzes } = payload
    const before = reader.content
    const isNew = before === undefined || reader.attempt !== attempt
    if (isNew && offset !== 0) reader.faults.push(`begins at ${offset}`)
    if (!isNew && offset > before.length) reader.faults.push(`a gap before ${offset}`)
    if (before !== undefined && !isNew && offset === 0 && before === (text ?? quizzes))
      reader.faults.push('a repeat')
    reader.attempt = attempt
    if (quizzes === undefined) reader.content = (isNew ? '' : String(before).slice(0, offset)) + text
    else reader.content = [...(isNew ? [] : (before as object[]).slice(0, offset)), ...quizzes]
  }
  return reader
}
