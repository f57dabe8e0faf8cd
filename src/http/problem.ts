/**
 * Every error as problem+json (RFC 9457), whatever raised it: our own classes, Fastify, the HTTP parser, the
 * database. Refusals are logged at info, faults at error; nothing a caller can send is answered 500.
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ERRORS, type ErrorCode, type Problem, type Violation } from '../contract/problem.js'
import { AppError, InvalidRequestError, MethodNotAllowedError, UnavailableError } from '../errors.js'
import { failureKindOf } from '../store/failure.js'
import { withoutTokens, writeLine } from './request-log.js'

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
  [405, 'method_not_allowed'],
  [408, 'request_timeout'],
  [413, 'too_large'],
  [415, 'unsupported_media_type'],
  [417, 'expectation_failed'],
  [429, 'too_many_requests'],
  [503, 'unavailable'],
])

/** Headers of answers with personal data: no type guessing, no caching. */
export const ANSWER_HEADERS = { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' }

/** Parts of a request in the order they are reported. */
const PARTS = ['params', 'querystring', 'headers', 'body'] as const

export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | AppError, request, reply) => sendProblem(error, request, reply))
  const allowedAt = readRoutes(app)
  const notFound = ({ method, url }: FastifyRequest): AppError => {
    const allowed = allowedAt(url)
    // A folder's route takes any name, and may have no such file.
    return allowed.length > 0 && !allowed.includes(method)
      ? new MethodNotAllowedError(method, allowed)
      : new AppError('route_not_found', `${method} ${url.slice(0, 200)} is not served here`)
  }
  app.setNotFoundHandler((request, reply) => sendProblem(notFound(request), request, reply))
  // Before the body is read: whatever is wrong with it, this address or method does not exist.
  app.addHook('preParsing', (request, _reply, _payload, done) => {
    done(request.is404 ? notFound(request) : null)
  })
}

/** @returns the methods that an address has; none when there is nothing at it */
function readRoutes(app: FastifyInstance): (url: string) => string[] {
  const routes = new Map<string, { matches: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    // The CORS plugin’s own, for preflights to anywhere.
    if (url === '*') return
    const route = routes.get(url) ?? { matches: patternOf(url), methods: new Set() }
    routes.set(url, route)
    for (const name of [method].flat()) route.methods.add(name)
  })
  return (url) => {
    const path = decoded(url.split('?')[0] ?? '')
    const found = [...routes.values()].filter(({ matches }) => matches.test(path))
    return [...new Set(found.flatMap(({ methods }) => [...methods]))].sort()
  }
}

/** As the router reads it. */
function decoded(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

/** Of a route’s path, with `:parameters` and `*`; with and without a slash at its end. */
function patternOf(url: string): RegExp {
  const pattern = url
    .replace(/\/$/, '')
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/:\w+/g, '[^/]+')
    .replace(/\*/g, '.*')
  return new RegExp(`^${pattern}/?$`)
}

export function sendProblem(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const appError = toAppError(error, request)
  const { code } = appError
  // Being busy is no fault, and a client that makes a node busy must not fill its log with stacks.
  const { status } = ERRORS[code]
  if (appError instanceof UnavailableError && appError.cause === undefined)
    writeLine(request, reply, 'warn', { statusCode: status, code }, appError.message)
  else if (status >= 500)
    writeLine(request, reply, 'error', { statusCode: status, code, err: error }, appError.message)
  else {
    const detail = withoutTokens(appError.message.slice(0, 500))
    writeLine(request, reply, 'info', { statusCode: status, code, detail }, 'refused')
  }
  const violations =
    appError instanceof InvalidRequestError ? allViolations(appError.violations, request) : undefined
  // Said here too: an address that cannot be read is refused before any hook runs.
  reply.headers({ ...ANSWER_HEADERS, 'x-request-id': request.id, ...headersOf(appError) })
  return reply
    .code(status)
    .type('application/problem+json')
    .serializer((problem: Problem) => JSON.stringify(problem))
    .send(problemOf(code, appError.message, request.id, violations))
}

export function problemOf(code: ErrorCode, detail: string, requestId: string, errors?: Violation[]): Problem {
  const { status, title } = ERRORS[code]
  // A name in the body can hold half a character, and a path be cut within one.
  const whole = errors?.map((error) => ({
    ...error,
    path: error.path.toWellFormed(),
    message: error.message.toWellFormed(),
  }))
  return {
    type: 'about:blank',
    title,
    status,
    code,
    detail: whole?.map(({ path, message }) => `${path} ${message}`).join('; ') ?? detail.toWellFormed(),
    ...(whole === undefined ? {} : { errors: whole }),
    request_id: requestId,
  }
}

function toAppError(error: Error, { raw }: FastifyRequest): AppError {
  if (error instanceof AppError) return error
  const { code, statusCode } = error as FastifyError
  // Its client went away. The code would be that of a database that did.
  if (raw.destroyed && !raw.complete)
    return new AppError('invalid_request', 'The request broke off before its end', { cause: error })
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

/** What a refusal says in headers. */
export function headersOf(error: AppError): Record<string, string> {
  if (error instanceof UnavailableError) return { 'retry-after': String(error.retryAfterS) }
  if (error instanceof MethodNotAllowedError) return { allow: error.allowed.join(', ') }
  return {}
}
