/**
 * What every refusal must look like: problem+json of one shape, with the request’s id. Tests assert through it.
 */
import type { Response } from 'light-my-request'
import type { Test } from 'tap'
import { ERRORS, type ErrorCode, Problem } from '../../src/contract/problem.js'
import { compileCheck } from '../../src/contract/validation.js'

const checkProblem = compileCheck(Problem)

/** A refusal with this `code`; when given, exactly these violations, in any order. */
export function refuses(t: Test, response: Response, code: ErrorCode, paths?: readonly string[]): Problem {
  const { status, title } = ERRORS[code]
  const said = response.payload.slice(0, 500)
  t.match(response.headers['content-type'], /^application\/problem\+json/, said)
  const problem = response.json<Problem>()
  t.same(checkProblem(problem), [], 'it has the shape of a problem')
  t.match(problem, { status, title, code, request_id: /\S/ }, said)
  t.equal(response.statusCode, status, 'its status is the answer’s')
  t.not(problem.detail, '', 'it says what was refused')
  if (paths !== undefined)
    t.same([...new Set(problem.errors?.map(({ path }) => path))].sort(), [...paths].sort(), said)
  return problem
}
