import { STATUS_CODES } from 'node:http'
import t from 'tap'
import { ERROR_CODES, ERRORS, Problem } from '../../src/contract/problem.js'
import { compileCheck } from '../../src/contract/validation.js'
import * as errors from '../../src/errors.js'
import { AppError } from '../../src/errors.js'

/** What clients are promised of each kind of refusal. */
const STATUSES: Record<string, number> = {
  invalid_request: 400,
  invalid_json: 400,
  unauthorized: 401,
  token_expired: 401,
  forbidden: 403,
  chapter_not_found: 404,
  revision_not_found: 404,
  redrive_not_found: 404,
  delivery_not_found: 404,
  route_not_found: 404,
  request_timeout: 408,
  origin_not_allowed: 403,
  method_not_allowed: 405,
  expectation_failed: 417,
  wrong_state: 409,
  tokens_off: 409,
  course_too_large: 409,
  too_large: 413,
  unsupported_media_type: 415,
  idempotency_key_reused: 422,
  too_many_requests: 429,
  too_many_rooms: 429,
  rate_limited: 429,
  headers_too_large: 431,
  internal: 500,
  unavailable: 503,
}

t.test('every error class has a code of the table, and its own name', async (t) => {
  const made = [
    new AppError('internal', 'x'),
    new errors.InvalidRequestError([{ path: '/body', message: 'is bad' }]),
    new errors.InvalidRequestError([], 'invalid_json'),
    new errors.ChapterNotFoundError(7),
    new errors.WrongStateError('x'),
    new errors.RevisionNotFoundError('quiz', 2),
    new errors.RedriveNotFoundError(7),
    new errors.DeliveryNotFoundError(7, 12),
    new errors.TokensOffError(),
    new errors.CourseTooLargeError(7, 5000),
    new errors.IdempotencyKeyReusedError(),
    new errors.UnavailableError('x'),
    new errors.ForbiddenError('x'),
    new errors.MethodNotAllowedError('GET', ['POST']),
    new errors.UnauthorizedError('x'),
    new errors.RateLimitedError('x', 1),
  ]
  for (const [name, Class] of Object.entries(errors))
    if (Class.prototype instanceof AppError)
      t.ok(
        made.some((error) => error.name === name && error.constructor.name === name),
        name,
      )
  for (const error of made) {
    t.ok(error.code in ERRORS, error.code)
    t.equal(error.statusCode, ERRORS[error.code].status)
    t.equal(
      error.retryable,
      error instanceof errors.UnavailableError || error instanceof errors.RateLimitedError,
    )
  }
})

t.test('an error says which chapter, what was wrong, and what caused it', async (t) => {
  t.match(new errors.ChapterNotFoundError(7).message, '7')
  const violations = [
    { path: '/body/title', message: 'is required' },
    { path: '/body/owner_id', message: 'must be integer' },
  ]
  t.equal(
    new errors.InvalidRequestError(violations).message,
    '/body/title is required; /body/owner_id must be integer',
  )
  const cause = new Error('connection lost')
  const away = new errors.UnavailableError('The database does not answer', { cause, retryAfterS: 5 })
  t.match(away, { cause, retryAfterS: 5, code: 'unavailable' })
  t.equal(new errors.UnavailableError('x').retryAfterS, 1)
  t.notOk('cause' in new AppError('internal', 'x'))
})

t.test('codes map to the statuses that the contract names', async (t) => {
  t.same(Object.fromEntries(ERROR_CODES.map((code) => [code, ERRORS[code].status])), STATUSES)
  for (const code of ERROR_CODES) {
    t.ok(STATUS_CODES[ERRORS[code].status], code)
    t.match(code, /^[a-z]+(_[a-z]+)*$/)
    t.not(ERRORS[code].title.trim(), '')
  }
})

t.test('a problem has the members of RFC 9457 and ours, and a code of the table', async (t) => {
  const { $id: _id, ...schema } = Problem
  const check = compileCheck(schema as typeof Problem)
  const problem = { type: 'about:blank', title: 'x', status: 404, detail: 'x', request_id: 'x' }
  for (const code of ERROR_CODES) t.same(check({ ...problem, code }), [])
  t.equal(check({ ...problem, code: 'teapot' }).length, 1)
})
