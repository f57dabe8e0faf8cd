/**
 * What the node does with one item. Each operation returns the item it passes on, or undefined to pass on none, and
 * throws what makes the execution red.
 */
import type { IDataObject, IExecuteFunctions } from 'n8n-workflow'
import { NodeOperationError } from 'n8n-workflow'
import { recogniseFailure } from './failure'
import { promptOf, SCHEMAS } from './generated'
import { type Job, jobBefore, jobIn } from './job'
import { type Answer, post } from './server'

/** How long *Begin a Job* waits for a server that is away. Then it begins: the result waits for the server. */
const BEGIN_WAIT_MS = 60_000
/** After its deadline the server makes a new attempt, but takes a late result all the same. */
const LATE_RESULT_MS = 300_000

export type Operation = (context: IExecuteFunctions, itemIndex: number) => Promise<IDataObject | undefined>

export const OPERATIONS: Record<string, Operation> = {
  async begin(context, itemIndex) {
    const job = jobIn(context.getInputData()[itemIndex]?.json)
    if (job === undefined)
      throw new NodeOperationError(context.getNode(), 'The item holds no job', {
        itemIndex,
        description:
          'It must be a message of the server, as Kafka Trigger, Webhook or Chaptercast Trigger give it.',
      })
    const { chapter_id, kind, attempt, job_id, deadline_at } = job
    note(context, {
      chapter_id: String(chapter_id),
      kind,
      attempt: String(attempt),
      job_id,
      outcome: 'begun',
    })
    const answer = await post(context, job.callback.start_url, {}, Date.now() + BEGIN_WAIT_MS)
    if (answer !== undefined) {
      const { statusCode, body, tries } = answer
      if (statusCode === 401 || statusCode === 403) throw refusal(context, answer, itemIndex)
      // After a try whose answer was lost, what is running is this very run.
      const isOwn = body.reason === 'running' && tries > 1
      if (statusCode >= 400 || (body.run === false && !isOwn)) {
        note(context, { outcome: `not wanted: ${body.reason ?? `HTTP ${statusCode}`}` })
        return undefined
      }
    }
    const schema = SCHEMAS[kind]
    return {
      ...(job as unknown as IDataObject),
      deadline_at: answer?.body.deadline_at ?? deadline_at,
      ...promptOf(job),
      schema,
      response_format: { type: 'json_schema', json_schema: { name: kind, strict: true, schema } },
    }
  },

  async progress(context, itemIndex) {
    const job = jobBefore(context, itemIndex)
    const progress = context.getNodeParameter('progress', itemIndex) as number
    const message = context.getNodeParameter('message', itemIndex) as string
    // Once: a report that is late is worth nothing.
    const answer = await post(context, job.callback.progress_url, { progress, message, kind: job.kind }, 0)
    const isCancelled = answer?.body.cancelled === true
    if (isCancelled) note(context, { outcome: 'cancelled' })
    return isCancelled ? undefined : context.getInputData()[itemIndex].json
  },

  async deliver(context, itemIndex) {
    const job = jobBefore(context, itemIndex)
    const given = context.getNodeParameter('answer', itemIndex) as unknown
    const raw = typeof given === 'string' ? given : JSON.stringify(given ?? '')
    const { body } = await tell(context, job, job.callback.finish_url, { raw }, itemIndex)
    note(context, { outcome: body.status === 'success' ? 'finished' : String(body.status) })
    return body
  },

  async fail(context, itemIndex) {
    const job = jobBefore(context, itemIndex)
    const { error, ...recognised } = recogniseFailure(context.getNodeParameter('error', itemIndex))
    const options = context.getNodeParameter('options', itemIndex, {}) as IDataObject
    const { reason = 'auto', retryable, retryAfter, endRed = true } = options
    const failure = {
      error,
      ...recognised,
      ...(reason === 'auto' ? {} : { reason, retryable: reason !== 'refused' }),
      ...(retryable === undefined ? {} : { retryable }),
      ...(retryAfter === undefined ? {} : { retry_after_s: retryAfter }),
    } as IDataObject
    const { body } = await tell(context, job, job.callback.fail_url, failure, itemIndex)
    note(context, { outcome: `failed: ${failure.reason}` })
    if (endRed !== false)
      throw new NodeOperationError(context.getNode(), `failed: ${failure.reason}. ${error}`, {
        itemIndex,
        description: 'The server was told. It decides whether there is another attempt.',
      })
    return body
  },
}

/** Until the server has taken it. */
async function tell(
  context: IExecuteFunctions,
  job: Job,
  url: string,
  body: IDataObject,
  itemIndex: number,
): Promise<Answer> {
  const deadline = Date.parse(job.deadline_at)
  const until = (Number.isNaN(deadline) ? Date.now() : deadline) + LATE_RESULT_MS
  const answer = await post(context, url, body, until)
  if (answer === undefined) {
    note(context, { outcome: 'not delivered' })
    throw new NodeOperationError(context.getNode(), 'The server could not be told in time', {
      itemIndex,
      description: 'After its deadline it makes a new attempt by itself.',
    })
  }
  if (answer.statusCode >= 400) {
    note(context, { outcome: `refused: HTTP ${answer.statusCode}` })
    throw refusal(context, answer, itemIndex)
  }
  return answer
}

function refusal(context: IExecuteFunctions, { statusCode, body }: Answer, itemIndex: number) {
  const isSecret = statusCode === 401 || statusCode === 403
  const said = String(body?.detail ?? body?.title ?? '')
  const message = isSecret
    ? 'The server refused the webhook secret: check the credential'
    : `The server refused it: ${said || `HTTP ${statusCode}`}`
  return new NodeOperationError(context.getNode(), message, {
    itemIndex,
    description: `HTTP ${statusCode} ${said}`.trim(),
  })
}

/** Kept with the execution, where it can be seen and searched for. */
function note(context: IExecuteFunctions, values: Record<string, string>): void {
  context.customData?.setAll(values)
}
