/**
 * A worker that takes jobs by HTTP (`DISPATCH=http`), as an n8n Webhook node does: it writes down every request, and the
 * test says how each is answered.
 */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { GenerationMessage } from '../../src/contract/generation.js'
import type { JobKind } from '../../src/contract/job.js'
import { FINISH_BODIES } from './client.js'

export interface WorkerRequest {
  path: string
  method: string
  headers: IncomingHttpHeaders
  text: string
  message: GenerationMessage
  response: ServerResponse
  /** The server hung up before it was answered. */
  isAborted: boolean
}

export type Reply = (request: WorkerRequest) => unknown

export interface HttpWorker {
  /** With `{kind}` in it. */
  url: string
  port: number
  requests: WorkerRequest[]
  /** Requests that are neither answered nor aborted. */
  readonly open: WorkerRequest[]
  /** How the next ones are answered. */
  reply: Reply
  of(chapterId: number, kind: JobKind): WorkerRequest[]
  close(): Promise<void>
}

/** Ends the request with a status, a body and headers. */
export function answer(
  { response }: WorkerRequest,
  status: number,
  body: unknown = undefined,
  headers: Record<string, string> = {},
): void {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  const type = typeof body === 'string' ? 'text/plain' : 'application/json'
  response.writeHead(status, { 'content-type': type, ...headers }).end(text)
}

/** Answers with the result, as the nodes Webhook → model → Respond to Webhook do. */
export const withResult: Reply = (request) => answer(request, 200, FINISH_BODIES[request.message.kind])
export const accepting: Reply = (request) => answer(request, 202)
/** Leaves the request open. */
export const silent: Reply = () => {}

export async function httpWorker(t: Test, reply: Reply = withResult, port = 0): Promise<HttpWorker> {
  const requests: WorkerRequest[] = []
  const server = createServer(async (incoming: IncomingMessage, response) => {
    let text = ''
    incoming.setEncoding('utf8')
    for await (const chunk of incoming) text += chunk
    const { url: path = '', method = '', headers } = incoming
    const message = JSON.parse(text) as GenerationMessage
    const request = { path, method, headers, text, message, response, isAborted: false }
    requests.push(request)
    response.once('close', () => {
      request.isAborted = !response.writableFinished
    })
    await worker.reply(request)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const bound = (server.address() as AddressInfo).port
  let closing: Promise<unknown> | undefined
  const worker: HttpWorker = {
    url: `http://127.0.0.1:${bound}/work/{kind}`,
    port: bound,
    requests,
    get open() {
      return requests.filter(({ response, isAborted }) => !isAborted && !response.writableEnded)
    },
    reply,
    of: (chapterId, kind) =>
      requests.filter(({ message }) => message.chapter_id === chapterId && message.kind === kind),
    async close() {
      closing ??= new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closing
    },
  }
  t.teardown(() => worker.close())
  return worker
}
