/**
 * What workers call: n8n, the generator, or anyone with the callback URLs from a message. Unknown fields are
 * ignored. An invalid finish is refused, and when it names the current attempt it also costs that attempt, for
 * its worker will not come back with a better one.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest, onRequestHookHandler, RouteShorthandOptions } from 'fastify'
import type { CommitGroups } from '../chapters/commit-group.js'
import {
  CallbackAnswer,
  FailCallback,
  FINISHES,
  ProgressCallback,
  StartAnswer,
  StartCallback,
} from '../contract/callback.js'
import { ChapterParams } from '../contract/chapter.js'
import { JOB_KINDS, type JobKind, type JobResults, MAX_QUIZZES, type QuizResult } from '../contract/job.js'
import type { Violation } from '../contract/problem.js'
import type { FinishResult } from '../domain/command.js'
import type { WorkName } from '../domain/job-state.js'
import { type AppError, InvalidRequestError } from '../errors.js'
import { WEBHOOK_SECURITY as security } from './auth.js'
import { problems } from './responses.js'

export interface WebhookRoutesOptions {
  /** Told of every callback: its kind (`chapter` for progress without one), what it says, how it was answered. */
  onAnswer?: (kind: string, callback: string, answer: string) => void
  groups: Pick<CommitGroups, 'submit'>
  bodyLimitBytes: number
  /** Refuses callers that do not know the secret. */
  authenticate: onRequestHookHandler
}

declare module 'fastify' {
  interface FastifyRequest {
    /** How a callback was answered, for the metrics; empty for a refusal. */
    callbackAnswer: string
  }
}

const tags = ['Webhooks']

export const webhookRoutes: FastifyPluginAsyncTypebox<WebhookRoutesOptions> = async (app, options) => {
  const { groups, bodyLimitBytes: bodyLimit } = options
  app.addHook('onRequest', options.authenticate)

  app.decorateRequest('callbackAnswer', '')
  /** Counts the answers of one route. A refusal counts by its status. */
  function counted(kind: JobKind | 'chapter', callback: string) {
    return {
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
    } satisfies Pick<RouteShorthandOptions, 'preSerialization' | 'onResponse'>
  }

  for (const kind of JOB_KINDS) {
    app.post(
      `/v1/chapter/:id/${kind}-finish`,
      {
        ...counted(kind, 'finish'),
        bodyLimit,
        attachValidation: true,
        schema: {
          operationId: `finish_${kind}`,
          tags,
          security,
          summary: `The ${kind} is generated`,
          description: 'A repeat is answered `duplicate` and changes nothing. The first result wins.',
          params: ChapterParams,
          body: FINISHES[kind],
          response: { 200: CallbackAnswer, ...problems(400, 401, 404, 413, 415, 503) },
        },
      },
      async (request) => {
        const chapterId = request.params.id
        const invalid = invalidityOf(request, kind)
        if (invalid !== undefined) {
          if (Number.isSafeInteger(chapterId) && chapterId > 0)
            await costAttempt(groups, chapterId, kind, request.body, invalid)
          throw invalid
        }
        const body = request.body as JobResults[JobKind] & { job_id?: string; attempt?: number }
        return groups.submit({ type: 'finish', chapterId, named: nameOf(body), ...resultOf(kind, body) })
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
        ...counted(kind, 'fail'),
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
      ...counted('chapter', 'progress'),
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

/** Only what is kept: a finish may carry anything else beside. */
function resultOf(kind: JobKind, body: JobResults[JobKind]): FinishResult {
  if (kind === 'concept') {
    const { title, content } = body as JobResults['concept']
    return { kind, result: { title, content } }
  }
  if (kind === 'exercise') {
    const { question, answer, difficulty = 'medium' } = body as JobResults['exercise']
    return { kind, result: { question, answer, difficulty } }
  }
  return { kind, result: { quizzes: (body as QuizResult).quizzes } }
}

/** What the schema says and what it cannot say, of the same body, together. */
function invalidityOf(request: FastifyRequest, kind: JobKind): AppError | undefined {
  const error: unknown = request.validationError
  if (error !== undefined && !(error instanceof InvalidRequestError)) throw error
  const violations = [...(error?.violations ?? [])]
  // When the address is at fault, nobody has looked at the body yet.
  const isBodyChecked = violations.every(({ path }) => path.startsWith('/body'))
  if (kind === 'quiz' && isBodyChecked) violations.push(...quizViolations(request.body))
  return violations.length === 0 ? undefined : new InvalidRequestError(violations)
}

/** A `multiple` needs options, its answer among them. What the schema refuses already is not told of again. */
function quizViolations(body: unknown): Violation[] {
  const { quizzes } = (body ?? {}) as { quizzes?: unknown }
  if (!Array.isArray(quizzes) || quizzes.length > MAX_QUIZZES) return []
  return quizzes.flatMap((quiz: Partial<QuizResult['quizzes'][number]> | null, index) => {
    const { type = 'multiple', options, correct_answer } = quiz ?? {}
    if (type !== 'multiple' || typeof correct_answer !== 'string') return []
    const path = `/body/quizzes/${index}`
    if (options === undefined || options === null || (Array.isArray(options) && options.length === 0))
      return [{ path: `${path}/options`, message: 'is required for a multiple choice' }]
    if (Array.isArray(options) && !options.includes(correct_answer))
      return [{ path: `${path}/correct_answer`, message: 'must be one of the options' }]
    return []
  })
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
