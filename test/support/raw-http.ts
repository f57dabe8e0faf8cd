/**
 * HTTP by hand: clients that send what no HTTP library does.
 */
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { waitFor } from './condition.js'

export interface RawHttp {
  readonly socket: Socket
  /** The first megabyte of what came so far, as Latin-1. */
  text(): string
  /** The statuses of the answers so far. Bodies must hold no status lines. */
  statuses(): number[]
  send(bytes: string | Buffer): void
  /** Waits until the server has closed its side. */
  closed(): Promise<void>
}

const STATUS_LINE = /HTTP\/1\.1 (\d{3}) /g
const STATUS_LENGTH = 'HTTP/1.1 200 '.length

/** A connection, closed at the end of the test. */
export async function openRawHttp(t: Test, url: string): Promise<RawHttp> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  const statuses: number[] = []
  /** What may be the first half of a status line. */
  let rest = ''
  let hasEnded = false
  socket.setEncoding('latin1')
  socket.on('data', (part: string) => {
    if (text.length < 1_000_000) text += part
    const searched = rest + part
    for (const [, status] of searched.matchAll(STATUS_LINE)) statuses.push(Number(status))
    // One character shorter than a status line’s start, so that none is counted twice.
    rest = searched.slice(-(STATUS_LENGTH - 1))
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
    statuses: () => [...statuses],
    send: (bytes) => void socket.write(bytes),
    closed: async () => {
      await waitFor('the server has closed the connection', () => hasEnded, { timeoutMs: 60_000 })
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
