/**
 * What workers call: n8n, the generator, or anyone with the callback URLs from a message. Unknown fields are
 * ignored. A finish that is invalid or cannot be read is refused, and when it names the current attempt, in its
 * body or in its address, it also costs that attempt, for its worker will not come back with a better one.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type {
  FastifyError,
  FastifyInstance,
  FastifyRequest,
  onRequestHookHandler,
  RouteShorthandOptions,
} from 'fastify'
import type { Mend } from '../answers/mend.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import {
  CallbackAnswer,
  FailCallback,
  FINISH_BODIES,
  ProgressCallback,
  StartAnswer,
  StartCallback,
} from '../contract/callback.js'
import { ChapterParams } from '../contract/chapter.js'
import { type FailureReason, JOB_KINDS, type JobKind } from '../contract/job.js'
import type { WorkName } from '../domain/job-table.js'
import { type AppError, InvalidRequestError } from '../errors.js'
import type { TextIntake } from '../feed/text-intake.js'
import { WEBHOOK_SECURITY as security } from './auth.js'
import { compileFail, compileFinish, compileProgress, type FinishBody } from './callback-body.js'
import { nameBody, WorkQuery, workInQuery } from './callback-work.js'
import { addPartialRoutes } from './partial.js'
import { sendProblem } from './problem.js'
import { problems } from './responses.js'

export interface WebhookRoutesOptions {
  /** Told of every callback: its kind (`chapter` for progress without one), what it says, how it was answered. */
  onAnswer?: (kind: string, callback: string, answer: string) => void
  /** Told of every result that was stored after it had been mended. */
  onMended?: (kind: JobKind, how: readonly Mend[]) => void
  groups: Pick<CommitGroups, 'submit'>
  texts: Pick<TextIntake, 'post'>
  bodyLimitBytes: number
  /** Callers know the secret: then an unreadable result that names no work is the published attempt’s. */
  isTrusted?: boolean
  /** Refuses callers that do not know the secret. */
  authenticate: onRequestHookHandler
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Workers call it, about a job of this kind or, with progress, about the chapter. */
    callback?: JobKind | 'chapter'
  }
  interface FastifyRequest {
    /** How a callback was answered, for the metrics and the log; empty for a refusal. */
    callbackAnswer: string
  }
}

const tags = ['Webhooks']

export const webhookRoutes: FastifyPluginAsyncTypebox<WebhookRoutesOptions> = async (app, options) => {
  const { groups, bodyLimitBytes: bodyLimit, isTrusted = false } = options
  app.addHook('onRequest', options.authenticate)

  app.decorateRequest('callbackAnswer', '')
  /** Counts the answers of one route. A refusal counts by its status. */
  function counted(kind: JobKind | 'chapter', callback: string) {
    return {
      config: { callback: kind },
      preSerialization(request, _reply, payload, done) {
        const { status, run } = (payload ?? {}) as { status?: unknown; run?: unknown }
        if (run !== undefined) request.callbackAnswer = run === true ? 'run' : 'refused'
        else if (typeof status === 'string') request.callbackAnswer = status
        done(null, payload)
      },
      onResponse(request, reply, done) {
        options.onAnswer?.(kind, callback, request.callbackAnswer || String(reply.statusCode))
        done()
      },
    } satisfies Pick<RouteShorthandOptions, 'config' | 'preSerialization' | 'onResponse'>
  }

  app.addHook('preValidation', (request, reply, done) => {
    if (nameBody(request)) return done()
    const { id } = request.params as { id: string }
    const isStart = request.routeOptions.url?.endsWith('-start')
    const length = request.routeOptions.url?.endsWith('-partial') ? { length: 0 } : {}
    const message = 'the body names other work than the address'
    const ignored = { status: 'ignored', message, chapter_id: Number(id), ...length }
    reply.send(isStart ? { run: false, reason: 'superseded' } : ignored)
  })

  // An unreadable result is that attempt’s failure, because its worker will not send a better one.
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const [, kind, callback] = /(\w+)-(finish|fail)$/.exec(request.routeOptions.url ?? '') ?? []
    const known = JOB_KINDS.find((each) => each === kind)
    const id = Number((request.params as { id?: string }).id)
    if (known !== undefined && isUnreadable(error) && Number.isSafeInteger(id) && id > 0) {
      const reason = callback === 'finish' ? 'invalid_result' : 'model_error'
      await costAttempt(id, known, workInQuery(request), error, reason)
    }
    return sendProblem(error, request, reply)
  })

  async function costAttempt(
    chapterId: number,
    kind: JobKind,
    body: unknown,
    { message }: Error,
    reason: FailureReason = 'invalid_result',
  ): Promise<void> {
    const { job_id, attempt } = (body ?? {}) as { job_id?: unknown; attempt?: unknown }
    const isUnnamed = job_id === undefined && attempt === undefined
    // Without an attempt number we cannot know whose it is, so no attempt fails unless the caller is trusted.
    if (isUnnamed ? !isTrusted : typeof attempt !== 'number') return
    if (job_id !== undefined && typeof job_id !== 'string') return
    await groups.submit({
      type: 'fail',
      chapterId,
      kind,
      named: { jobId: job_id, attempt: typeof attempt === 'number' ? attempt : undefined },
      reason,
      error: message,
      retryable: true,
      retryAfterMs: 0,
    })
  }

  for (const kind of JOB_KINDS) {
    app.post(
      `/v1/chapter/:id/${kind}-finish`,
      {
        ...counted(kind, 'finish'),
        bodyLimit,
        attachValidation: true,
        validatorCompiler: compileFinish(kind),
        schema: {
          operationId: `finish_${kind}`,
          tags,
          security,
          summary: `The ${kind} is generated`,
          description:
            'The result, or the model’s own text as `raw`. What can be mended without guessing is mended. A repeat is ' +
            'answered `duplicate` and changes nothing. The first result wins.',
          params: ChapterParams,
          querystring: WorkQuery,
          body: FINISH_BODIES[kind],
          response: { 200: CallbackAnswer, ...problems(400, 401, 404, 413, 415, 503) },
        },
      },
      async (request) => {
        const chapterId = request.params.id
        const invalid = invalidityOf(request)
        if (invalid !== undefined) {
          if (Number.isSafeInteger(chapterId) && chapterId > 0)
            await costAttempt(chapterId, kind, request.body, invalid)
          throw invalid
        }
        const body = request.body as unknown as FinishBody
        try {
          const command = { type: 'finish', chapterId, named: nameOf(body), ...body.answer } as const
          const { mended = [], ...answer } = await groups.submit(command)
          const how = [...new Set([...body.mended, ...mended])]
          if (answer.status === 'success' && how.length > 0) {
            request.log.debug({ chapter_id: chapterId, kind, how }, 'an answer was mended')
            options.onMended?.(kind, how)
          }
          return answer
        } catch (error) {
          // Only with the chapter at hand it showed that the questions do not suffice.
          if (error instanceof InvalidRequestError) await costAttempt(chapterId, kind, request.body, error)
          throw error
        }
      },
    )

    app.post(
      `/v1/chapter/:id/${kind}-start`,
      {
        ...counted(kind, 'start'),
        bodyLimit,
        schema: {
          operationId: `start_${kind}`,
          tags,
          security,
          summary: `Ask whether to generate the ${kind}, before spending anything on it`,
          description:
            'Optional. A message that came twice, was cancelled or is out of date is answered `run: false`. An answer ' +
            '`run: true` starts the deadline.',
          params: ChapterParams,
          querystring: WorkQuery,
          body: StartCallback,
          response: { 200: StartAnswer, ...problems(400, 401, 404, 413, 415, 503) },
        },
      },
      async ({ params, body }) =>
        groups.submit({
          type: 'start',
          chapterId: params.id,
          kind,
          jobId: body.job_id,
          attempt: body.attempt,
        }),
    )

    app.post(
      `/v1/chapter/:id/${kind}-fail`,
      {
        ...counted(kind, 'fail'),
        bodyLimit,
        validatorCompiler: compileFail,
        schema: {
          operationId: `fail_${kind}`,
          tags,
          security,
          summary: `The ${kind} could not be generated`,
          description:
            'Counts for the current attempt only; anything else is answered `ignored`. When it names its work it counts ' +
            'whatever its details look like.',
          params: ChapterParams,
          querystring: WorkQuery,
          body: FailCallback,
          response: { 200: CallbackAnswer, ...problems(400, 401, 404, 413, 415, 503) },
        },
      },
      async ({ params, body }) =>
        groups.submit({
          type: 'fail',
          chapterId: params.id,
          kind,
          named: nameOf(body),
          reason: body.reason ?? 'model_error',
          error: body.error,
          retryable: body.retryable ?? true,
          retryAfterMs: (body.retry_after_s ?? 0) * 1000,
        }),
    )
  }

  addPartialRoutes(app as unknown as FastifyInstance, { texts: options.texts, bodyLimit, counted })

  app.post(
    '/v1/chapter/:id/progress',
    {
      ...counted('chapter', 'progress'),
      bodyLimit,
      validatorCompiler: compileProgress,
      schema: {
        operationId: 'progress',
        tags,
        security,
        summary: 'How far the work is',
        description: 'With `kind` it is that job’s, without it the chapter’s. It renews the deadline.',
        params: ChapterParams,
        querystring: WorkQuery,
        body: ProgressCallback,
        response: { 200: CallbackAnswer, ...problems(400, 401, 404, 413, 415, 503) },
      },
    },
    async ({ params, body }) =>
      groups.submit({
        type: 'progress',
        chapterId: params.id,
        named: nameOf(body),
        progress: body.progress,
        message: body.message,
        ...(body.kind === undefined ? {} : { kind: body.kind }),
      }),
  )
}

function nameOf(body: { job_id?: string; attempt?: number }): WorkName {
  return { jobId: body.job_id, attempt: body.attempt }
}

function invalidityOf(request: FastifyRequest): AppError | undefined {
  const error: unknown = request.validationError
  if (error !== undefined && !(error instanceof InvalidRequestError)) throw error
  return error
}

/** The body did not come whole, or is no JSON. What Fastify says of it has no class of its own. */
function isUnreadable(error: Error & { code?: string }): boolean {
  return error.code === 'invalid_json' || error.code?.startsWith('FST_ERR_CTP_') === true
}
