/**
 * What workers call: n8n, the generator, or anyone with the callback URLs from a message. Unknown fields are
 * ignored. An invalid finish is refused, and when it names the current attempt it also costs that attempt, for
 * its worker will not come back with a better one.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
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
import { JOB_KINDS, type JobKind } from '../contract/job.js'
import type { WorkName } from '../domain/job-state.js'
import { type AppError, InvalidRequestError } from '../errors.js'
import { WEBHOOK_SECURITY as security } from './auth.js'
import { compileFinish, type FinishBody } from './finish-body.js'
import { problems } from './responses.js'

export interface WebhookRoutesOptions {
  /** Told of every callback: its kind (`chapter` for progress without one), what it says, how it was answered. */
  onAnswer?: (kind: string, callback: string, answer: string) => void
  /** Told of every result that was stored after it had been mended. */
  onMended?: (kind: JobKind, how: readonly Mend[]) => void
  groups: Pick<CommitGroups, 'submit'>
  bodyLimitBytes: number
  /** Refuses callers that do not know the secret. */
  authenticate: onRequestAsyncHookHandler
}

const tags = ['Webhooks']

export const webhookRoutes: FastifyPluginAsyncTypebox<WebhookRoutesOptions> = async (app, options) => {
  const { groups, bodyLimitBytes: bodyLimit } = options
  app.addHook('onRequest', options.authenticate)

  const answers = new WeakMap<FastifyRequest, string>()
  app.addHook('preSerialization', async (request, _reply, payload) => {
    const { status, run } = (payload ?? {}) as { status?: unknown; run?: unknown }
    if (run !== undefined) answers.set(request, run === true ? 'run' : 'refused')
    else if (typeof status === 'string') answers.set(request, status)
    return payload
  })
  app.addHook('onResponse', async (request, reply) => {
    const [, kind = 'chapter', callback = 'progress'] =
      /(\w+)-(\w+)$/.exec(request.routeOptions.url ?? '') ?? []
    options.onAnswer?.(kind, callback, answers.get(request) ?? String(reply.statusCode))
  })

  for (const kind of JOB_KINDS) {
    app.post(
      `/v1/chapter/:id/${kind}-finish`,
      {
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
          body: FINISH_BODIES[kind],
          response: { 200: CallbackAnswer, ...problems(400, 401, 404, 413, 415, 503) },
        },
      },
      async (request) => {
        const chapterId = request.params.id
        const invalid = invalidityOf(request)
        if (invalid !== undefined) {
          if (Number.isSafeInteger(chapterId) && chapterId > 0)
            await costAttempt(groups, chapterId, kind, request.body, invalid)
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
          if (error instanceof InvalidRequestError)
            await costAttempt(groups, chapterId, kind, request.body, error)
          throw error
        }
      },
    )

    app.post(
      `/v1/chapter/:id/${kind}-start`,
      {
        bodyLimit,
        schema: {
          operationId: `start_${kind}`,
          tags,
          security,
          summary: `Ask whether to generate the ${kind}, before spending anything on it`,
          params: ChapterParams,
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
        bodyLimit,
        schema: {
          operationId: `fail_${kind}`,
          tags,
          security,
          summary: `The ${kind} could not be generated`,
          description: 'Counts for the current attempt only; anything else is answered `ignored`.',
          params: ChapterParams,
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

  app.post(
    '/v1/chapter/:id/progress',
    {
      bodyLimit,
      schema: {
        operationId: 'progress',
        tags,
        security,
        summary: 'How far the work is',
        description: 'With `kind` it is that job’s, without it the chapter’s. It renews the deadline.',
        params: ChapterParams,
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

async function costAttempt(
  groups: Pick<CommitGroups, 'submit'>,
  chapterId: number,
  kind: JobKind,
  body: unknown,
  { message }: Error,
): Promise<void> {
  const { job_id, attempt } = (body ?? {}) as { job_id?: unknown; attempt?: unknown }
  // Without an attempt it names nothing: it may be a stranger’s, and must not cost anything.
  if (typeof attempt !== 'number' || (job_id !== undefined && typeof job_id !== 'string')) return
  await groups.submit({
    type: 'fail',
    chapterId,
    kind,
    named: { jobId: job_id, attempt },
    reason: 'invalid_result',
    error: message,
    retryable: true,
    retryAfterMs: 0,
  })
}
