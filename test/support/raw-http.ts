/**
 * HTTP by hand: clients that send what no HTTP library does.
 */
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { waitFor } from './condition.js'

export interface RawHttp {
  readonly socket: Socket
  /** Everything that came so far, as Latin-1. */
  text(): string
  /** The statuses of the answers so far. Bodies must hold no status lines. */
  statuses(): number[]
  send(bytes: string | Buffer): void
  /** Waits until the server has closed its side. */
  closed(): Promise<void>
}

/** A connection, closed at the end of the test. */
export async function openRawHttp(t: Test, url: string): Promise<RawHttp> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  let hasEnded = false
  socket.setEncoding('latin1')
  socket.on('data', (part: string) => {
    text += part
  })
  for (const end of ['end', 'close'])
    socket.on(end, () => {
      hasEnded = true
    })
  socket.on('error', () => {})
  await waitFor('the connection is open', () => socket.readyState === 'open')
  return {
    socket,
    text: () => text,
    statuses: () => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)),
    send: (bytes) => void socket.write(bytes),
    closed: async () => {
      await waitFor('the server has closed the connection', () => hasEnded, { timeoutMs: 20_000 })
    },
  }
}

/** A request without a body; `headers` are whole lines. */
export function requestText(
  path: string,
  { method = 'GET', headers = [] as string[], host = 'x' } = {},
): string {
  return `${[`${method} ${path} HTTP/1.1`, `host: ${host}`, ...headers].join('\r\n')}\r\n\r\n`
}
