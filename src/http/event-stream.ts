/**
 * A stream of server-sent events: a heartbeat, a bound on what a reader may leave
 * unread, the end of its token, and the end of the server.
 */
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { runAt } from '../auth/expiry.js'
import type { Connections } from './connections.js'

export interface EventStream {
  readonly isOpen: boolean
  /** @param id a reader that comes back sends the last one as `Last-Event-ID` */
  write(event: string, payload: object, id?: number): void
  /** From now on a reader that leaves more than a megabyte unread, beside what is written so far, is cut. */
  bound(): void
  /** Nothing more is written; what was is still sent. */
  finish(): void
  /** Sends what is written; resolves when the answer has begun. */
  send(): Promise<void>
  /** Nothing is sent: the request is answered in another way. */
  discard(): void
}

export interface EventStreams {
  /**
   * @param expiresAt when the stream ends by itself, ms since the epoch
   * @param onEnd runs once, when nothing more is written
   * @returns undefined when the reader has gone already
   */
  open(reply: FastifyReply, expiresAt: number, onEnd: () => void): EventStream | undefined
}

/** A comment this often keeps proxies from closing a quiet stream. */
const HEARTBEAT_MS = 15_000
const MAX_UNREAD_BYTES = 1_048_576
/** How long an EventSource waits before it comes back, ms. */
export const RETRY_MS = 2000
/** How long readers have to take what is left when the server closes, ms. */
const CLOSE_MS = 500

export function createEventStreams(
  app: FastifyInstance,
  { connections, now }: { connections: Pick<Connections, 'watch'> | undefined; now: () => number },
): EventStreams {
  /** Every response that is not closed yet, and how its stream is finished. */
  const streams = new Map<FastifyReply['raw'], { stream: Readable; finish: () => void }>()
  connections?.watch(() =>
    [...streams].map(([response, { stream }]) => ({
      unsentBytes: stream.readableLength,
      cut: () => response.destroy(),
    })),
  )
  // Ended before the server closes, which would wait for them; their readers come back elsewhere.
  app.addHook('preClose', async () => {
    for (const { finish } of streams.values()) finish()
    const deadline = performance.now() + CLOSE_MS
    while (streams.size > 0 && performance.now() < deadline) await delay(10)
    for (const response of streams.keys()) response.destroy()
  })

  return {
    open(reply, expiresAt, onEnd) {
      const response = reply.raw
      // Its reader went away while its token was checked: no `close` would follow that ends the stream.
      if (response.closed) {
        reply.hijack()
        return undefined
      }
      const stream = new Readable({ read() {} })
      const unreadBytes = () => stream.readableLength + response.writableLength
      let isOpen = true
      let maxUnreadBytes = Number.POSITIVE_INFINITY
      const push = (text: string) => {
        if (!isOpen) return
        if (unreadBytes() > maxUnreadBytes) stream.destroy()
        else stream.push(text)
      }
      const heartbeat = setInterval(() => push(': \n\n'), HEARTBEAT_MS)
      const end = () => {
        if (!isOpen) return
        isOpen = false
        clearInterval(heartbeat)
        cancelExpiry()
        onEnd()
      }
      const finish = () => {
        if (isOpen) stream.push(null)
        end()
      }
      const cancelExpiry = runAt(expiresAt, now, finish)
      streams.set(response, { stream, finish })
      stream.on('close', end)
      response.on('close', () => {
        // Before its end when the reader went away, or wanted the head only.
        finish()
        streams.delete(response)
      })
      push(`retry: ${RETRY_MS}\n\n`)

      return {
        get isOpen() {
          return isOpen
        },
        write: (event, payload, id) =>
          push(
            `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(payload)}\n\n`,
          ),
        finish,
        bound() {
          maxUnreadBytes = MAX_UNREAD_BYTES + unreadBytes()
        },
        async send() {
          reply.header('cache-control', 'no-cache, no-transform').header('x-accel-buffering', 'no')
          // Kept alive after its end it would keep a server that closes waiting.
          reply.header('connection', 'close')
          await reply.type('text/event-stream; charset=utf-8').send(stream)
        },
        discard: () => void stream.destroy(),
      }
    },
  }
}
