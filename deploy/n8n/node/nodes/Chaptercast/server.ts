/**
 * Callbacks to the server. What it does not answer, because it is away or busy, is sent again with backoff until a
 * given time. The waits use n8n’s own `sleep`: n8n lets them end when it is restarted in order.
 */
import type { IDataObject, IExecuteFunctions, IHttpRequestOptions } from 'n8n-workflow'
import { sleep } from 'n8n-workflow'

const TIMEOUT_MS = 10_000
const FIRST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 15_000

export interface Answer {
  statusCode: number
  body: IDataObject
  /** How often it was sent. */
  tries: number
}

/**
 * @param until ms since the epoch; one try is always made
 * @returns the server’s own answer, a refusal too; undefined if there was none
 */
export async function post(
  context: IExecuteFunctions,
  url: string,
  body: IDataObject,
  until: number,
): Promise<Answer | undefined> {
  const signal = context.getExecutionCancelSignal?.()
  for (let tries = 1; ; tries += 1) {
    const answer = await postOnce(context, url, body)
    if (answer !== undefined && isAnswered(answer)) return { ...answer, tries }
    const waitMs = Math.max(backoffMs(tries), retryAfterMs(answer?.headers))
    if (signal?.aborted || Date.now() + waitMs > until) return undefined
    await sleep(waitMs)
  }
}

interface Response {
  statusCode: number
  headers: IDataObject
  body: IDataObject
}

async function postOnce(
  context: IExecuteFunctions,
  url: string,
  body: IDataObject,
): Promise<Response | undefined> {
  const request: IHttpRequestOptions = {
    method: 'POST',
    url,
    body,
    json: true,
    timeout: TIMEOUT_MS,
    ignoreHttpStatusErrors: true,
    returnFullResponse: true,
    disableFollowRedirect: true,
  }
  try {
    return await context.helpers.httpRequestWithAuthentication.call(context, 'chaptercastApi', request)
  } catch (error) {
    context.logger.debug(`chaptercast does not answer: ${error.message}`)
    return undefined
  }
}

/** A page of a proxy, a redirect, 429 and 5xx are none. */
function isAnswered({ statusCode, body }: Response): boolean {
  if (statusCode >= 200 && statusCode < 300) return body?.status !== undefined || body?.run !== undefined
  return statusCode >= 400 && statusCode < 500 && statusCode !== 408 && statusCode !== 429
}

/** Between half and all of 1, 2, 4, 8, 15 s. */
function backoffMs(tries: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (tries - 1)) * (0.5 + Math.random() / 2)
}

function retryAfterMs(headers: IDataObject | undefined): number {
  const seconds = Number(headers?.['retry-after'])
  return seconds > 0 ? Math.min(60, seconds) * 1000 : 0
}
