/**
 * Text so far, as workers post it: `POST /v1/chapter/{id}/{kind}-partial`. The answer to a question never goes further
 * than here.
 */
import type { FastifyInstance, RouteShorthandOptions } from 'fastify'
import { orderOptions } from '../answers/random-order.js'
import { ChapterParams } from '../contract/chapter.js'
import { JOB_KINDS, type JobKind, MAX_QUIZZES, QUIZ_TYPES } from '../contract/job.js'
import { PARTIAL_BODIES, PartialAnswer, type PartialQuestion } from '../contract/partial.js'
import { toStorable } from '../contract/storable.js'
import type { PartialPost, TextIntake } from '../feed/text-intake.js'
import { WEBHOOK_SECURITY as security } from './auth.js'
import { compileBody } from './callback-body.js'
import { WorkQuery } from './callback-work.js'
import { problems } from './responses.js'

interface PartialRoutesOptions {
  texts: Pick<TextIntake, 'post'>
  bodyLimit: number
  counted: (kind: JobKind, callback: string) => Pick<RouteShorthandOptions, 'preSerialization' | 'onResponse'>
}

interface PartialBody {
  job_id?: string
  attempt?: number
  text?: string
  offset?: number
  quizzes?: unknown[]
}

export function addPartialRoutes(
  app: FastifyInstance,
  { texts, bodyLimit, counted }: PartialRoutesOptions,
): void {
  for (const kind of JOB_KINDS)
    app.post(
      `/v1/chapter/:id/${kind}-partial`,
      {
        ...counted(kind, 'partial'),
        bodyLimit,
        // Several a second for each job: a line of the log for each would hide everything else.
        logLevel: 'warn',
        validatorCompiler: compilePartial,
        schema: {
          operationId: `partial_${kind}`,
          tags: ['Webhooks'],
          security,
          summary: `What is written of the ${kind} so far`,
          description:
            'Everybody in the chapter’s room reads along. It counts only when it names the current work. It is not logged, ' +
            'the latest wins, and it is gone when the result is stored or the attempt ends. It renews the deadline.',
          params: ChapterParams,
          querystring: WorkQuery,
          body: PARTIAL_BODIES[kind],
          response: { 200: PartialAnswer, ...problems(400, 401, 404, 413, 415, 503) },
        },
      },
      async (request) => {
        const chapterId = (request.params as { id: number }).id
        const { job_id: jobId, attempt, ...body } = request.body as PartialBody
        return await texts.post({
          chapterId,
          kind,
          named: { jobId, attempt },
          content: contentOf(body, chapterId),
        })
      },
    )
}

/** Half a character is no fault here: the other half follows. */
const compilePartial = compileBody((body, check) => {
  const { text } = (body ?? {}) as { text?: unknown }
  const violations = check(typeof text === 'string' ? { ...(body as object), text: '' } : withoutHalves(body))
  return violations.length > 0 ? violations : (withoutHalves(body) as object)
})

/** Questions as they can be stored; a text is mended where it is put together. */
function withoutHalves(body: unknown): unknown {
  const { quizzes } = (body ?? {}) as { quizzes?: unknown }
  if (!Array.isArray(quizzes)) return body
  return { ...(body as object), quizzes: quizzes.map(mended) }
}

function mended(value: unknown): unknown {
  if (typeof value === 'string') return toStorable(value)
  if (Array.isArray(value)) return value.map(mended)
  if (typeof value !== 'object' || value === null) return value
  const { question, options, type } = value as Record<string, unknown>
  return { question: mended(question), options: Array.isArray(options) ? mended(options) : null, type }
}

function contentOf({ text, offset, quizzes }: PartialBody, chapterId: number): PartialPost['content'] {
  if (text !== undefined) return { text, offset }
  const questions = (quizzes ?? []).slice(0, MAX_QUIZZES)
  return { quizzes: questions.map((question, index) => questionOf(question, chapterId, index)) }
}

/** What may be shown of a question, with its options in the order in which they will be stored. */
function questionOf(value: unknown, chapterId: number, index: number): PartialQuestion {
  const { question, options, type } = value as Record<string, unknown>
  const texts = Array.isArray(options) ? options.filter((option) => typeof option === 'string') : []
  const known = QUIZ_TYPES.find((each) => each === type)
  return {
    question: String(question),
    ...(texts.length === 0
      ? {}
      : { options: known === 'boolean' ? texts : orderOptions(texts, chapterId, index) }),
    ...(known === undefined ? {} : { type: known }),
  }
}
