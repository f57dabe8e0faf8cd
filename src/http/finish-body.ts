/**
 * The body of a finish: judged where Fastify validates, so that a refusal lists the address, the names of the work
 * and the result together.
 */
import { type TSchema, Type } from '@sinclair/typebox'
import { type Answer, judgeAnswer } from '../answers/judge.js'
import type { Mend } from '../answers/mend.js'
import { WORK_FIELDS } from '../contract/callback.js'
import type { JobKind } from '../contract/job.js'
import { compileCheck } from '../contract/validation.js'
import { InvalidRequestError } from '../errors.js'

/** What a route finds in place of the body that came. */
export interface FinishBody {
  job_id?: string
  attempt?: number
  answer: Answer
  mended: Mend[]
}

const checkWork = compileCheck(Type.Object(WORK_FIELDS))

/** For a route’s `validatorCompiler`. */
export function compileFinish(kind: JobKind) {
  return ({ schema, httpPart }: { schema: unknown; httpPart?: string | undefined }) => {
    const check = compileCheck(schema as TSchema, httpPart)
    return (value: unknown) => {
      const read = httpPart === 'body' ? readFinish(kind, value) : check(value)
      return Array.isArray(read)
        ? read.length === 0
          ? { value }
          : { error: new InvalidRequestError(read) }
        : { value: read }
    }
  }
}

/** @returns the violations, or the answer with the names of its work */
function readFinish(kind: JobKind, body: unknown) {
  const verdict = judgeAnswer(kind, body)
  const isNamed = typeof body === 'object' && body !== null && !Array.isArray(body)
  const { job_id, attempt } = (isNamed ? body : {}) as Pick<FinishBody, 'job_id' | 'attempt'>
  const named = {
    ...(job_id === undefined ? {} : { job_id }),
    ...(attempt === undefined ? {} : { attempt }),
  }
  const violations = [...('violations' in verdict ? verdict.violations : []), ...checkWork(named)]
  return 'answer' in verdict && violations.length === 0
    ? ({ ...named, ...verdict } satisfies FinishBody)
    : violations
}
