/**
 * A job as the server sends it, found wherever a trigger of n8n puts it.
 */
import type { IDataObject, IExecuteFunctions } from 'n8n-workflow'
import { NodeOperationError } from 'n8n-workflow'
import { type GenerationMessage, SCHEMAS } from './generated'

export interface Job extends GenerationMessage {
  job_id: string
  attempt: number
  chapter_id: number
  deadline_at: string
  callback: { start_url: string; finish_url: string; fail_url: string; progress_url: string }
}

const URLS = ['start_url', 'finish_url', 'fail_url', 'progress_url'] as const

/** All its callbacks are addresses of this server. */
export function isOf(base: string, { callback }: Job): boolean {
  const start = `${base.trim().replace(/\/+$/, '')}/`
  return URLS.every((name) => callback[name].startsWith(start))
}

/** The item itself, or Kafka Trigger’s `message`, or Webhook’s `body`; also as text. */
export function jobIn(json: unknown): Job | undefined {
  const value = typeof json === 'string' ? parsed(json) : json
  if (typeof value !== 'object' || value === null) return undefined
  if (isJob(value)) return value
  const { message, body } = value as { message?: unknown; body?: unknown }
  return jobIn(message ?? body ?? undefined)
}

/** The job that *Begin a Job*, or else the trigger, passed on before this node. */
export function jobBefore(context: IExecuteFunctions, itemIndex: number): Job {
  const own = jobIn(context.getInputData()[itemIndex]?.json)
  if (own !== undefined) return own
  const { name, type } = context.getNode()
  const parents = context.getParentNodes(name, { includeNodeParameters: true })
  const begins = parents.filter((node) => node.type === type && node.parameters?.operation === 'begin')
  const triggers = parents.filter((node) => node.type === `${type}Trigger`)
  for (const parent of [...begins, ...triggers]) {
    const node = `$(${JSON.stringify(parent.name)})`
    const json = context.evaluateExpression(
      `{{ ${node}.all().length === 1 ? ${node}.first().json : ${node}.item.json }}`,
      itemIndex,
    )
    const job = jobIn(json)
    if (job !== undefined) return job
  }
  throw new NodeOperationError(context.getNode(), 'No job was begun before this node', {
    itemIndex,
    description: 'Put “Chaptercast: Begin a Job” before it in this branch.',
  })
}

function isJob(value: object): value is Job {
  const { job_id, kind, title, callback } = value as Partial<Job> & IDataObject
  return (
    typeof job_id === 'string' &&
    typeof title === 'string' &&
    Object.keys(SCHEMAS).includes(String(kind)) &&
    URLS.every((name) => /^https?:\/\//.test(String((callback as IDataObject | undefined)?.[name])))
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
