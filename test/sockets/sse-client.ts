/**
 * Readers of server-sent events: one that parses what comes, and one on a bare TCP socket that may stop reading.
 */
import { once } from 'node:events'
import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { waitFor } from '../support/condition.js'

export interface StreamedEvent {
  id: number | undefined
  event: string
  // biome-ignore lint/suspicious/noExplicitAny: a test asserts on what came, of whatever shape
  data: any
}

export interface EventStream {
  status: number | undefined
  headers: IncomingHttpHeaders
  /** What came, as it came. */
  text(): string
  events(): StreamedEvent[]
  /** The ids of logged events, in the order they came. */
  ids(): number[]
  hears(event: string): Promise<StreamedEvent>
  /** Resolves when the server ends the stream. */
  ended: Promise<void>
  hasEnded(): boolean
}

/** Opens `url` for server-sent events; given up at the end of the test. */
export async function openEvents(
  t: Test,
  url: string,
  headers: Record<string, string> = {},
): Promise<EventStream> {
  const request = get(url, { agent: false, headers: { accept: 'text/event-stream', ...headers } })
  t.teardown(() => request.destroy())
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let text = ''
  let isOver = false
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  // A stream that was cut ends with an error as well.
  response.on('error', () => {})
  const ended = new Promise<void>((resolve) => {
    response.on('close', () => {
      isOver = true
      resolve()
    })
  })
  const events = () => parse(text)
  return {
    status: response.statusCode,
    headers: response.headers,
    text: () => text,
    events,
    ids: () => events().flatMap(({ id }) => id ?? []),
    hears: (name) => waitFor(`${name} is streamed`, () => events().find(({ event }) => event === name)),
    ended,
    hasEnded: () => isOver,
  }
}

/** A reader of the same that takes in nothing after the first bytes. */
export async function openEventsAndStopReading(t: Test, url: string): Promise<Socket> {
  const { hostname, port, pathname } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  socket.on('error', () => {})
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nAccept: text/event-stream\r\n\r\n`)
  await once(socket, 'data')
  socket.pause()
  return socket
}

/** Whole events only: one that has not ended yet is not there. */
function parse(text: string): StreamedEvent[] {
  const blocks = text.split('\n\n').slice(0, -1)
  return blocks.flatMap((block) => {
    const fields = new Map(
      block.split('\n').map((line) => [line.split(': ', 1)[0], line.replace(/^\w+: /, '')]),
    )
    const [event, data, id] = [fields.get('event'), fields.get('data'), fields.get('id')]
    if (event === undefined || data === undefined) return []
    return [{ id: id === undefined ? undefined : Number(id), event, data: JSON.parse(data) }]
  })
}
