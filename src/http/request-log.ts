/**
 * What a request costs in the log: one line, when it is answered or refused, and a logger of its own only when something
 * is logged. Every line carries the request id; that of a callback also says which work it is about.
 */
import { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import { traceIdOf } from '../telemetry/traceparent.js'
import { workInQuery } from './callback-work.js'

type Bindings = Parameters<FastifyBaseLogger['child']>[0]
type ChildLoggerOptions = Parameters<FastifyBaseLogger['child']>[1]

const METHODS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
const LEVELS_WITH_INFO = ['trace', 'debug', 'info']

/** Refused requests, whose line was written with the refusal. */
const written = new WeakSet<FastifyRequest>()

/** Fastify writes two lines for each request. This writes one, with the address and the answer. */
export class RequestLines extends LogController {
  /** @param level of the server; a route may have a level of its own */
  constructor(level: string) {
    super({
      disableRequestLogging: ({ routeOptions }: FastifyRequest) =>
        !LEVELS_WITH_INFO.includes(routeOptions.logLevel || level),
    })
  }

  override incomingRequest(): void {}

  override requestCompleted(
    error: Error | null | undefined,
    request: FastifyRequest,
    reply: FastifyReply,
  ): void {
    const { statusCode } = reply
    if (error) writeLine(request, reply, 'error', { statusCode, err: error }, 'request errored')
    else if (!this.isLogDisabled(request) && !written.has(request))
      writeLine(request, reply, 'info', { statusCode }, 'request completed')
  }
}

/** Writes the line of a request; that it is completed is then not written any more. */
export function writeLine(
  request: FastifyRequest,
  reply: FastifyReply,
  level: 'info' | 'warn' | 'error',
  answer: { statusCode: number; [field: string]: unknown },
  text: string,
): void {
  if (text !== 'request completed') written.add(request)
  const { method, url, ip, headers } = request
  const trace_id = traceIdOf(headers.traceparent)
  const line = {
    method,
    url: withoutTokens(url),
    remoteAddress: ip,
    ...answer,
    responseTime: reply.elapsedTime,
    ...workOf(request),
    ...(trace_id === undefined ? {} : { trace_id }),
  }
  request.log[level](line, text)
}

/** Of a callback: the work that it names, and how it was answered. */
function workOf(request: FastifyRequest): object | undefined {
  const { callback } = request.routeOptions.config
  if (callback === undefined) return undefined
  const { kind, job_id, attempt } = (request.body ?? {}) as Record<string, unknown>
  const { id } = request.params as { id?: string | number }
  return {
    chapter_id: Number(id),
    kind: callback === 'chapter' ? shown(kind) : callback,
    job_id: shown(job_id),
    attempt: shown(attempt),
    // A body that cannot be used names nothing.
    ...workInQuery(request),
    ...(request.callbackAnswer === '' ? {} : { answer: request.callbackAnswer }),
  }
}

/** What a refused body says may be anything, of any length. */
function shown(value: unknown): unknown {
  return typeof value === 'string' ? value.slice(0, 100) : typeof value === 'number' ? value : undefined
}

/** Most addresses have none, and the search that finds its end takes longer. */
const MAYBE_SECRET = /token|secret|key|password|auth|jwt/i
const SECRET = /([?&;][^=&#\s]*(?:token|secret|key|password|auth|jwt)[^=&#\s]*=)[^&#\s]*/gi

/** An address, or a text with one. Tokens are not taken from addresses, but somebody may put one there. */
export function withoutTokens(text: string): string {
  return MAYBE_SECRET.test(text) ? text.replace(SECRET, '$1…') : text
}

/** For Fastify’s `childLoggerFactory`. */
export function createRequestLog(
  parent: FastifyBaseLogger,
  bindings: Bindings,
  options: ChildLoggerOptions,
): FastifyBaseLogger {
  return new RequestLog(parent, bindings, options) as unknown as FastifyBaseLogger
}

/** A logger that is made at its first line. */
class RequestLog {
  readonly #make: [parent: FastifyBaseLogger, bindings: Bindings, options: ChildLoggerOptions]
  #made: FastifyBaseLogger | undefined

  constructor(...make: [FastifyBaseLogger, Bindings, ChildLoggerOptions]) {
    this.#make = make
  }

  get made(): FastifyBaseLogger {
    const [parent, bindings, options] = this.#make
    this.#made ??= parent.child(bindings, options)
    return this.#made
  }

  get level(): string {
    return this.made.level
  }

  set level(level: string) {
    this.made.level = level
  }

  child(bindings: Bindings, options?: ChildLoggerOptions): FastifyBaseLogger {
    return this.made.child(bindings, options)
  }
}

for (const method of METHODS)
  Object.defineProperty(RequestLog.prototype, method, {
    value(this: RequestLog, ...line: Parameters<FastifyBaseLogger['info']>) {
      this.made[method](...line)
    },
  })
