/**
 * What the log says of attempts that end. One server with short deadlines for all tests.
 */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import type { GenerationMessage } from '../../src/contract/generation.js'
import type { JobKind } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { FINISH_BODIES, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { answer, httpWorker } from '../support/http-worker.js'
import { type LogLine, silentLog } from '../support/log.js'
import { recordingQueue } from '../support/recording-queue.js'

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const traceparent = `00-${TRACE_ID}-00f067aa0ba902b7-01`

t.test('an operator reads why each attempt ended', async (t) => {
  const lines: LogLine[] = []
  const logger = silentLog((line) => lines.push(line))
  const queue = recordingQueue()
  const env = { GENERATION_TIMEOUT_MS: '600000', GENERATION_RETRY_BASE_MS: '0', GENERATION_MAX_ATTEMPTS: '2' }
  let lateMs = 0
  const { url } = await buildTestApp(t, env, { logger, queue, now: () => Date.now() + lateMs })

  async function create(): Promise<Record<JobKind, GenerationMessage>> {
    const { body } = await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, { traceparent })
    const of = (kind: JobKind) =>
      queue.messages.find((message) => message.chapter_id === body.chapter_id && message.kind === kind)
    const sent = () => {
      const [concept, exercise, quiz] = [of('concept'), of('exercise'), of('quiz')]
      return concept && exercise && quiz && { concept, exercise, quiz }
    }
    return waitFor('its jobs are sent', sent)
  }
  const ends = ({ job_id, attempt }: GenerationMessage) =>
    waitFor('the line is written', () => {
      const found = lines.filter(
        ({ text, fields }) =>
          text === 'an attempt ended' && fields.job_id === job_id && fields.attempt === attempt,
      )
      return found.length > 0 && found
    })
  const of = ({ chapter_id, kind, job_id, attempt }: GenerationMessage) => ({
    ...{ chapter_id, kind, job_id, attempt },
    trace_id: TRACE_ID,
  })

  await t.test('by its worker, with the worker’s words and when the next one comes', async (t) => {
    const { concept } = await create()
    await post(concept.callback.fail_url, { error: 'no money left', reason: 'model_error' })
    t.match(await ends(concept), [
      {
        level: 'info',
        fields: {
          ...of(concept),
          outcome: 'failed',
          reason: 'model_error',
          error: 'no money left',
          retry_at: /^\d{4}-/,
        },
      },
    ])
  })
  await t.test('by an answer that cannot be used, with what is wrong with it', async (t) => {
    const { quiz } = await create()
    t.equal((await post(quiz.callback.finish_url, { quizzes: [] })).status, 400)
    const [line] = await ends(quiz)
    t.match(line?.fields, { ...of(quiz), outcome: 'failed', reason: 'invalid_result', error: /quizzes/ })
  })
  await t.test('by a cancel', async (t) => {
    const { concept, quiz } = await create()
    await post(concept.callback.finish_url, FINISH_BODIES.concept)
    await post(`${url}/v1/chapter/${quiz.chapter_id}/cancel`, {})
    t.match(await ends(quiz), [{ fields: { ...of(quiz), outcome: 'cancelled', reason: 'cancel' } }])
    const [line, ...more] = await ends(concept)
    t.match(line?.fields, { ...of(concept), outcome: 'completed' })
    t.same(more, [], 'what was completed is not cancelled')
  })
  await t.test('by its deadline, and the last one has no next', async (t) => {
    const { exercise } = await create()
    await post(exercise.callback.start_url, {})
    lateMs += 600_001
    const [line] = await ends(exercise)
    t.match(line?.fields, { ...of(exercise), outcome: 'failed', reason: 'timeout' })
    const second = { ...exercise, attempt: 2 }
    await waitFor('it is sent again', () =>
      queue.messages.some(({ job_id, attempt }) => job_id === second.job_id && attempt === 2),
    )
    await post(exercise.callback.fail_url.replace('attempt=1', 'attempt=2'), { error: 'no' })
    const [last] = await ends(second)
    t.match(last?.fields, { outcome: 'failed', reason: 'model_error' })
    t.notOk(last?.fields.retry_at)
  })
})

t.test('with DISPATCH=http the worker’s answer ends an attempt, and the log says so once', async (t) => {
  const lines: LogLine[] = []
  const worker = await httpWorker(t, (request) => answer(request, 400, { error: 'no such model' }))
  const env = { DISPATCH: 'http', DISPATCH_URL: worker.url, GENERATION_MAX_ATTEMPTS: '1' }
  const { url } = await buildTestApp(t, env, { logger: silentLog((line) => lines.push(line)) })
  await post(`${url}/v1/chapter/`, CREATE_EXAMPLE)
  const ended = () => lines.filter(({ fields }) => fields.outcome === 'failed')
  await waitFor('three attempts ended', () => ended().length >= 3)
  const error = 'the worker answered 400: no such model'
  for (const { fields } of ended()) t.match(fields, { reason: 'model_error', error })
  t.equal(ended().length, 3)
})
