/**
 * Who is told of ended runs (`NOTIFY_URL`): writes down every notice, and the test says how each is answered.
 */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { Notice } from '../../src/contract/notice.js'

export interface Received {
  headers: IncomingHttpHeaders
  text: string
  notice: Notice
}

export interface Receiver {
  url: string
  received: Received[]
  /** How the next ones are answered; by default with 204. */
  reply: (response: ServerResponse, received: Received) => void
  of(chapterId: number): Received[]
}

export async function noticeReceiver(t: Test): Promise<Receiver> {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    request.setEncoding('utf8')
    for await (const chunk of request) text += chunk
    const one = { headers: request.headers, text, notice: JSON.parse(text) as Notice }
    received.push(one)
    receiver.reply(response, one)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/hook?token=1`,
    received,
    reply: (response) => response.writeHead(204).end(),
    of: (chapterId) => received.filter(({ notice }) => notice.data.chapter_id === chapterId),
  }
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return receiver
}
