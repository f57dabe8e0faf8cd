/**
 * Fastify as this program uses it: strict JSON in, problem+json out, request ids, CORS, and validation that lists
 * every violation.
 */
import { randomUUID } from 'node:crypto'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { TSchema } from '@sinclair/typebox'
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Config } from '../config/config.js'
import { Problem } from '../contract/problem.js'
import { compileCheck } from '../contract/validation.js'
import { InvalidRequestError, UnavailableError } from '../errors.js'
import { logOptions } from '../telemetry/log.js'
import { answerBrokenRequest } from './connections.js'
import { readJson } from './json.js'
import { answerProblems, sendProblem } from './problem.js'
import { HttpRequest, requestCheck } from './request-check.js'
import { createRequestLog, RequestLines } from './request-log.js'

/** Largest body a client may send, in bytes; webhooks have a setting of their own. */
const CLIENT_BODY_LIMIT_BYTES = 1_048_576

/** Longer than the silences of a poll (25 s) and of an event stream (15 s). */
const CONNECTION_TIMEOUT_MS = 60_000
/** How often requests that take too long to arrive are looked for. */
const SLOW_CHECK_MS = 5000

export type BuildSerializer = NonNullable<
  NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>['buildSerializer']
>

export interface HttpServerOptions {
  config: Pick<Config, 'corsOrigin' | 'logFormat' | 'logLevel' | 'trustProxy'>
  logger?: FastifyBaseLogger
  isClosing: () => boolean
  /** Fastify's own unless given. */
  buildSerializer?: BuildSerializer
}

export async function createHttpServer({ config, logger, isClosing, buildSerializer }: HttpServerOptions) {
  const refuse = requestCheck(config.corsOrigin)
  const app = fastify({
    ...(logger === undefined ? { logger: await logOptions(config) } : { loggerInstance: logger }),
    ...(buildSerializer && { schemaController: { compilersFactory: { buildSerializer } } }),
    bodyLimit: CLIENT_BODY_LIMIT_BYTES,
    trustProxy: typeof config.trustProxy === 'boolean' ? config.trustProxy : [...config.trustProxy],
    // A slow sender must not hold a connection for ever; SSE and Socket.IO are answers, not requests.
    requestTimeout: 60_000,
    // A busy machine starts slowly, which is no reason not to start.
    pluginTimeout: 60_000,
    // While closing, requests are answered by our own 503 below.
    return503OnClosing: false,
    genReqId: (request) => requestIdFrom(request.headers['x-request-id']) ?? newRequestId(),
    childLoggerFactory: createRequestLog,
    logController: new RequestLines(logger?.level ?? config.logLevel),
    routerOptions: {
      ignoreTrailingSlash: true,
      maxParamLength: 500,
    },
    frameworkErrors: (error, request, reply) => {
      void sendProblem(error, request, reply as never)
    },
    clientErrorHandler: answerBrokenRequest,
    // Nothing was sent or taken for so long: a client that stopped reading its answer.
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    http: {
      IncomingMessage: HttpRequest,
      // Node’s own refusal has no body; ours is in `requestCheck`.
      requireHostHeader: false,
      connectionsCheckingInterval: SLOW_CHECK_MS,
    } as object,
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.addSchema(Problem)
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const check = compileCheck(schema as TSchema, httpPart)
    return (value: unknown) => {
      const violations = check(value)
      return violations.length === 0 ? { value } : { error: new InvalidRequestError(violations) }
    }
  })
  readJson(app as unknown as FastifyInstance)
  answerProblems(app as unknown as FastifyInstance)

  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
    // By the route and not by the address, which can be spelled in other ways.
    if (request.routeOptions.url?.startsWith('/v1/')) reply.header('cache-control', 'no-store')
    const refusal = refuse(request.raw)
    if (refusal !== undefined) return done(refusal)
    if (!isClosing() || request.routeOptions.config.whileClosing === true) return done()
    reply.header('connection', 'close')
    done(new UnavailableError('This node is shutting down'))
  })
  await app.register(cors, {
    origin: config.corsOrigin === '*' ? '*' : [...config.corsOrigin],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: ['Location', 'Retry-After', 'X-Request-Id'],
    maxAge: 600,
    // Its refusal of an OPTIONS that is no preflight would be plain text.
    strictPreflight: false,
  })
  return app
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered also by a node that is shutting down. */
    whileClosing?: boolean
  }
}

/** Unique like a UUID and shaped like one: random for this process, then counted, which costs less. */
const PROCESS_ID = randomUUID().slice(0, 24)
let requests = 0
function newRequestId(): string {
  requests += 1
  return PROCESS_ID + requests.toString(16).padStart(12, '0')
}

function requestIdFrom(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[\w.:-]{1,128}$/.test(header) ? header : undefined
}
