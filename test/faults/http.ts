/** Requests as clients and workers make them. Every answer is looked at: which 5xx, and whether a 503 says when to come back. */
import { Agent, request } from 'node:http'
import type { Findings } from './promises.js'

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever was answered
  body: any
}

export interface Asking {
  method?: 'GET' | 'POST'
  body?: unknown
  headers?: Record<string, string>
}

/** Rejects when no answer came: then nobody knows whether it was done. */
export type Ask = (url: string, asking?: Asking) => Promise<Answer>

/** As a patient client’s. Longer than a statement’s and its repetitions. */
const TIMEOUT_MS = 15_000

export interface Http {
  ask: Ask
  /** How often each status was answered; 0 is no answer. */
  readonly statuses: ReadonlyMap<number, number>
  close(): void
}

export function createHttp(findings: Findings): Http {
  const agent = new Agent({ keepAlive: true, maxSockets: 512 })
  const statuses = new Map<number, number>()
  const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1)

  function send(url: string, { method = 'POST', body, headers = {} }: Asking): Promise<Answer> {
    const text = body === undefined ? '' : JSON.stringify(body)
    const described =
      text === ''
        ? headers
        : {
            'content-type': 'application/json',
            'content-length': String(Buffer.byteLength(text)),
            ...headers,
          }
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, agent, headers: described, timeout: TIMEOUT_MS }, (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          answer += part
        })
        response.on('error', reject)
        response.on('aborted', () => reject(new Error('the answer broke off')))
        response.on('end', () => {
          const status = response.statusCode ?? 0
          const said = `${method} ${url} was answered ${status}: ${answer.slice(0, 300)}`
          if (status === 503 && response.headers['retry-after'] === undefined)
            findings.found('retryAfter', said)
          if (status >= 500 && status !== 503) findings.found('odd5xx', said)
          try {
            resolve({ status, body: answer === '' ? undefined : JSON.parse(answer) })
          } catch (error) {
            reject(error)
          }
        })
      })
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
      sent.on('error', reject)
      sent.end(text)
    })
  }

  return {
    statuses,
    async ask(url, asking = {}) {
      try {
        const answer = await send(url, asking)
        count(answer.status)
        return answer
      } catch (error) {
        count(0)
        throw error
      }
    },
    close: () => agent.destroy(),
  }
}
