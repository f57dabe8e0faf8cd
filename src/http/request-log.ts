/**
 * What a request costs in the log: one line when it is answered, and a logger of its own only when something is
 * logged. Every line carries the request id.
 */
import { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from 'fastify'

type Bindings = Parameters<FastifyBaseLogger['child']>[0]
type ChildLoggerOptions = Parameters<FastifyBaseLogger['child']>[1]

const METHODS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
const LEVELS_WITH_INFO = ['trace', 'debug', 'info']

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
    if (error === undefined && this.isLogDisabled(request)) return
    const line = {
      method: request.method,
      url: request.url,
      remoteAddress: request.ip,
      statusCode: reply.statusCode,
      responseTime: reply.elapsedTime,
    }
    if (error) reply.log.error({ ...line, err: error }, 'request errored')
    else reply.log.info(line, 'request completed')
  }
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
