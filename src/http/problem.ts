/**
 * Every error as problem+json (RFC 9457), whatever raised it: our own classes, Fastify, the HTTP parser, the
 * database. Refusals are logged at info, faults at error; nothing a caller can send is answered 500.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ERRORS, type ErrorCode, type Problem, type Violation } from '../contract/problem.js'
import { AppError, InvalidRequestError, UnavailableError } from '../errors.js'
import { failureKindOf } from '../store/failure.js'

/** Fastify’s own errors, by code; what is not here goes by its HTTP status. */
const FASTIFY_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_BAD_URL: 'invalid_request',
}

const CODE_BY_STATUS = new Map<number, ErrorCode>([
  [400, 'invalid_request'],
  [404, 'route_not_found'],
  [408, 'request_timeout'],
  [413, 'too_large'],
  [415, 'unsupported_media_type'],
  [429, 'too_many_requests'],
  [503, 'unavailable'],
])

/** Parts of a request in the order they are reported. */
const PARTS = ['params', 'querystring', 'headers', 'body'] as const

export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | AppError, request, reply) => sendProblem(error, request, reply))
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new AppError('route_not_found', `${request.method} ${request.url.slice(0, 200)} is not served here`),
      request,
      reply,
    ),
  )
}

export function sendProblem(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const appError = toAppError(error)
  const { code } = appError
  if (ERRORS[code].status >= 500) request.log.error({ err: error, code }, appError.message)
  else request.log.info({ code, detail: appError.message.slice(0, 500) }, 'refused')
  const violations =
    appError instanceof InvalidRequestError ? allViolations(appError.violations, request) : undefined
  if (appError instanceof UnavailableError) reply.header('retry-after', String(appError.retryAfterS))
  // Said here too: an address that cannot be read is refused before any hook runs.
  reply.header('x-request-id', request.id)
  return reply
    .code(ERRORS[code].status)
    .type('application/problem+json')
    .serializer((problem: Problem) => JSON.stringify(problem))
    .send(problemOf(code, appError.message, request.id, violations))
}

export function problemOf(code: ErrorCode, detail: string, requestId: string, errors?: Violation[]): Problem {
  const { status, title } = ERRORS[code]
  return {
    type: 'about:blank',
    title,
    status,
    code,
    detail:
      errors === undefined ? detail : errors.map(({ path, message }) => `${path} ${message}`).join('; '),
    ...(errors === undefined ? {} : { errors }),
    request_id: requestId,
  }
}

function toAppError(error: Error): AppError {
  if (error instanceof AppError) return error
  const { code, statusCode } = error as FastifyError
  if (failureKindOf(error) === 'connection')
    return new UnavailableError('The database does not answer', { cause: error })
  const known = FASTIFY_CODES[code] ?? (statusCode === undefined ? undefined : CODE_BY_STATUS.get(statusCode))
  if (known === 'unavailable') return new UnavailableError(error.message, { cause: error })
  if (known !== undefined) return new AppError(known, error.message, { cause: error })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new AppError('invalid_request', error.message, { cause: error })
  // What went wrong inside is for the log, not for the caller.
  return new AppError('internal', 'Something went wrong here; the request id leads to it in the log', {
    cause: error,
  })
}

/** Fastify stops at the first part of a request that is not valid; callers are told of all of them. */
function allViolations(first: Violation[], request: FastifyRequest): Violation[] {
  const all = [...first]
  const seen = new Set(first.map(({ path }) => path.split('/')[1]))
  for (const part of PARTS) {
    const name = part === 'querystring' ? 'query' : part
    if (seen.has(name) || request.is404) continue
    const validate = request.getValidationFunction(part)
    const value = {
      params: request.params,
      querystring: request.query,
      headers: request.headers,
      body: request.body,
    }
    const result = validate?.(value[part]) as unknown
    const error = (result as { error?: unknown } | undefined)?.error
    if (error instanceof InvalidRequestError) all.push(...error.violations)
  }
  return all
}

/** A request that was not even HTTP: answered on the bare socket, in the same shape. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const code: ErrorCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'headers_too_large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'request_timeout'
        : 'invalid_request'
  const { status } = ERRORS[code]
  const body = JSON.stringify(problemOf(code, 'This is not a valid HTTP request', 'none'))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
