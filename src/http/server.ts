/**
 * Fastify as this program uses it: strict JSON in, problem+json out, request ids, CORS, and validation that lists
 * every violation.
 */
import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { TSchema } from '@sinclair/typebox'
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Config } from '../config/config.js'
import { structureProblem } from '../contract/json-structure.js'
import { Problem } from '../contract/problem.js'
import { compileCheck } from '../contract/validation.js'
import { InvalidRequestError, UnavailableError } from '../errors.js'
import { answerBrokenRequest, answerProblems, sendProblem } from './problem.js'

/** Largest body a client may send, in bytes; webhooks have a setting of their own. */
const CLIENT_BODY_LIMIT_BYTES = 1_048_576

export interface HttpServerOptions {
  config: Pick<Config, 'corsOrigin' | 'logLevel' | 'trustProxy'>
  logger?: FastifyBaseLogger
  isDraining: () => boolean
}

export async function createHttpServer({ config, logger, isDraining }: HttpServerOptions) {
  const app = fastify({
    ...(logger === undefined ? { logger: { level: config.logLevel } } : { loggerInstance: logger }),
    bodyLimit: CLIENT_BODY_LIMIT_BYTES,
    trustProxy: typeof config.trustProxy === 'boolean' ? config.trustProxy : [...config.trustProxy],
    // A slow sender must not hold a connection for ever; SSE and Socket.IO are answers, not requests.
    requestTimeout: 60_000,
    // A busy machine starts slowly, which is no reason not to start.
    pluginTimeout: 60_000,
    // While closing, requests are answered by our own 503 below.
    return503OnClosing: false,
    genReqId: (request) => requestIdFrom(request.headers['x-request-id']) ?? randomUUID(),
    routerOptions: {
      ignoreTrailingSlash: true,
      maxParamLength: 500,
    },
    frameworkErrors: (error, request, reply) => {
      void sendProblem(error, request, reply as never)
    },
    clientErrorHandler: answerBrokenRequest,
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

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    if (!isDraining() || request.routeOptions.config.whileDraining === true) return
    reply.header('connection', 'close')
    throw new UnavailableError('This node is shutting down')
  })
  await app.register(cors, {
    origin: config.corsOrigin === '*' ? '*' : [...config.corsOrigin],
    methods: ['GET', 'HEAD', 'POST'],
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
    whileDraining?: boolean
  }
}

/** JSON as UTF-8 and nothing else; what is not is refused rather than mended. An empty body is no body. */
function readJson(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (body.length === 0) return done(null, undefined)
    if (!isUtf8(body))
      return done(new InvalidRequestError([{ path: '/body', message: 'is not UTF-8' }], 'invalid_json'))
    const problem = structureProblem(body)
    if (problem !== undefined) return done(new InvalidRequestError([{ path: '/body', message: problem }]))
    const text = body.toString('utf8')
    return parseJson(request, text, (error, value) => {
      if (error === null) return done(null, value)
      return done(new InvalidRequestError([{ path: '/body', message: refusalOf(text) }], 'invalid_json'))
    })
  })
}

/** Fastify’s parser refuses without saying why. */
function refusalOf(text: string): string {
  try {
    JSON.parse(text.replace(/^\ufeff/, ''))
    return 'has a field __proto__ or constructor.prototype, which is not allowed'
  } catch (error) {
    return `is not valid JSON: ${(error as Error).message}`
  }
}

function requestIdFrom(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[\w.:-]{1,128}$/.test(header) ? header : undefined
}
