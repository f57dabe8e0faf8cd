/**
 * The bodies of callbacks, read where Fastify validates. A finish is judged there, so that a refusal lists the
 * address, the names of the work and the result together. A `-fail` that names its work counts, whatever its details
 * look like: no worker’s last word is lost for its wording.
 */
import { type TSchema, Type } from '@sinclair/typebox'
import { type Answer, judgeAnswer } from '../answers/judge.js'
import type { Mend } from '../answers/mend.js'
import { WORK_FIELDS } from '../contract/callback.js'
import { FAILURE_REASONS, type JobKind } from '../contract/job.js'
import type { Violation } from '../contract/problem.js'
import { isRecord } from '../contract/record.js'
import { toStorable } from '../contract/storable.js'
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

/** Fastify’s `validatorCompiler` of one route: its body is read by `read`, the rest is checked as everywhere. */
export function compileBody(
  read: (body: unknown, check: (value: unknown) => Violation[]) => Violation[] | object,
) {
  return ({ schema, httpPart }: { schema: unknown; httpPart?: string | undefined }) => {
    const check = compileCheck(schema as TSchema, httpPart)
    return (value: unknown) => {
      const result = httpPart === 'body' ? read(value, check) : check(value)
      if (!Array.isArray(result)) return { value: result }
      return result.length === 0 ? { value } : { error: new InvalidRequestError(result) }
    }
  }
}

/** For the `validatorCompiler` of a finish. */
export function compileFinish(kind: JobKind) {
  return compileBody((body) => readFinish(kind, body))
}

/** For the `validatorCompiler` of a fail. */
export const compileFail = compileBody((body, check) => {
  if (!isRecord(body) || checkWork(body).length > 0 || body.attempt === undefined) return check(body)
  const { error, reason, retryable, retry_after_s, ...rest } = body
  const waitS = typeof retry_after_s === 'string' ? Number(retry_after_s) : retry_after_s
  return {
    ...rest,
    error: errorText(error),
    reason: FAILURE_REASONS.find((known) => known === reason) ?? 'model_error',
    retryable: retryable !== false && retryable !== 'false',
    ...(typeof waitS === 'number' && Number.isFinite(waitS)
      ? { retry_after_s: Math.min(3600, Math.max(1, waitS)) }
      : {}),
  }
})

/** For the `validatorCompiler` of progress: half a character in its message is replaced. */
export const compileProgress = compileBody((body, check) => {
  const isText = isRecord(body) && typeof body.message === 'string'
  const value = isText ? { ...body, message: toStorable(String(body.message)) } : body
  const violations = check(value)
  return violations.length > 0 || !isRecord(value) ? violations : value
})

/** What a worker said of its failure, as text: itself, its message, or its JSON. */
function errorText(error: unknown): string {
  if (typeof error === 'string') return toStorable(error)
  const { message } = isRecord(error) ? error : {}
  if (typeof message === 'string') return toStorable(message)
  return error === undefined || error === null ? 'no reason was given' : toStorable(JSON.stringify(error))
}

/** @returns the violations, or the answer with the names of its work */
function readFinish(kind: JobKind, body: unknown) {
  const verdict = judgeAnswer(kind, body)
  const { job_id, attempt } = (isRecord(body) ? body : {}) as Pick<FinishBody, 'job_id' | 'attempt'>
  const named = {
    ...(job_id === undefined ? {} : { job_id }),
    ...(attempt === undefined ? {} : { attempt }),
  }
  const violations = [...('violations' in verdict ? verdict.violations : []), ...checkWork(named)]
  return 'answer' in verdict && violations.length === 0
    ? ({ ...named, ...verdict } satisfies FinishBody)
    : violations
}
