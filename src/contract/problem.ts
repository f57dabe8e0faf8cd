/**
 * Errors as callers see them: RFC 9457 problem details with a stable `code`.
 * One table maps each code to its HTTP status and title; HTTP, socket acks and OpenAPI read it.
 */
import { type Static, Type } from '@sinclair/typebox'
import { stringEnum } from './scalar.js'

export const ERRORS = {
  invalid_request: { status: 400, title: 'The request is not valid' },
  invalid_json: { status: 400, title: 'The body is not valid JSON' },
  unauthorized: { status: 401, title: 'Good credentials are needed' },
  token_expired: { status: 401, title: 'The token has expired' },
  forbidden: { status: 403, title: 'These credentials do not allow this' },
  origin_not_allowed: { status: 403, title: 'Pages of this origin may not call this server' },
  chapter_not_found: { status: 404, title: 'There is no such chapter' },
  revision_not_found: { status: 404, title: 'There is no such revision' },
  redrive_not_found: { status: 404, title: 'There is no such redrive' },
  delivery_not_found: { status: 404, title: 'There is no such notice' },
  route_not_found: { status: 404, title: 'There is nothing at this address' },
  method_not_allowed: { status: 405, title: 'This address has no such method' },
  request_timeout: {
    status: 408,
    title: 'The request took too long to arrive',
  },
  wrong_state: {
    status: 409,
    title: 'The chapter’s state does not allow this',
  },
  course_too_large: { status: 409, title: 'The course has too many chapters to be followed' },
  tokens_off: { status: 409, title: 'This server signs no tokens' },
  too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: {
    status: 415,
    title: 'The body is not application/json',
  },
  expectation_failed: { status: 417, title: 'The server cannot meet what is expected of it' },
  idempotency_key_reused: {
    status: 422,
    title: 'The idempotency key belongs to another request',
  },
  too_many_rooms: { status: 429, title: 'Too many chapters on one connection' },
  too_many_requests: { status: 429, title: 'Too many requests at once' },
  rate_limited: { status: 429, title: 'Too often; wait a moment' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal: { status: 500, title: 'The server failed' },
  unavailable: { status: 503, title: 'The server cannot do this right now' },
} as const satisfies Record<string, { status: number; title: string }>

export type ErrorCode = keyof typeof ERRORS
export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[]

/** What is wrong with one place of a request: enough, with `limit`, to say it in any language. */
export const VIOLATION_CODES = {
  required: 'it is missing',
  unknown_field: 'there is no such field',
  wrong_type: 'it is of another type',
  not_a_number: 'it is not a number, or not a whole one where one is needed',
  not_one_of: 'it is not one of the values in `limit`',
  too_short: 'the text has fewer characters than `limit`',
  too_long: 'the text has more characters, or the JSON more bytes, than `limit`',
  too_small: 'the number is less than `limit`',
  too_large: 'the number is more than `limit`',
  too_few: 'the list has fewer items than `limit`',
  too_many: 'the list has more items than `limit`',
  too_deep: 'it is nested deeper than `limit` levels',
  pattern: 'the text is not of the shape that is needed',
  not_storable: 'it holds something that cannot be stored',
  not_json: 'it is not JSON that can be read',
  says_nothing: 'the text says nothing',
  invalid: 'anything else; the message says what',
} as const
export type ViolationCode = keyof typeof VIOLATION_CODES

export const Violation = Type.Object({
  path: Type.String({
    description: 'JSON Pointer from the part of the request, e.g. `/body/title`',
  }),
  message: Type.String(),
  code: stringEnum(
    Object.keys(VIOLATION_CODES) as ViolationCode[],
    Object.entries(VIOLATION_CODES)
      .map(([code, about]) => `\`${code}\`: ${about}`)
      .join('; '),
  ),
  limit: Type.Optional(
    Type.Unsafe<number | string[]>({
      type: ['number', 'array'],
      items: { type: 'string' },
      description: 'The bound that was not kept; for `not_one_of` the list of what is allowed',
    }),
  ),
})
export type Violation = Static<typeof Violation>

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: stringEnum(ERROR_CODES),
    detail: Type.String(),
    errors: Type.Optional(Type.Array(Violation)),
    request_id: Type.String(),
  },
  {
    $id: 'Problem',
    examples: [
      {
        type: 'about:blank',
        title: 'The request is not valid',
        status: 400,
        code: 'invalid_request',
        detail: '/body/title must NOT have fewer than 1 characters',
        errors: [
          {
            path: '/body/title',
            message: 'must NOT have fewer than 1 characters',
            code: 'too_short',
            limit: 1,
          },
        ],
        request_id: 'b3c1…',
      },
    ],
  },
)
export type Problem = Static<typeof Problem>
