/**
 * A plain socket.io-client with its default options which, like the guide’s React example, joins once and never
 * again; and the account of what it heard, connection by connection.
 */

import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import type { Test } from 'tap'
import { waitFor } from './condition.js'

export interface StockClient {
  readonly socket: Socket
  /** From the loss of a connection until the next, ms. */
  readonly awayMs: readonly number[]
  /** Connections so far. */
  readonly connections: number
  /** Seqs heard twice, because they were replayed to a later connection. */
  readonly repeated: number
  /** Joins one more chapter, on the connection that it has; asks again only when nobody answered. */
  join(chapterId: number): Promise<void>
  /** Whether the present connection has heard a chapter up to this seq. */
  hasHeard(chapterId: number, seq: number): boolean
  /** When a seq was first heard, as `performance.now()`. */
  heardAt(chapterId: number, seq: number): number | undefined
  /** What is wrong with what it heard; each connection must have every chapter from its first event, once, in order. */
  faults(): string[]
}

export interface StockClientOptions extends Partial<ManagerOptions & SocketOptions> {
  /** Joined at the first connection. */
  chapters?: readonly number[]
}

export function stockClient(t: Test, url: string, options: StockClientOptions = {}): StockClient {
  const { chapters = [], ...socketOptions } = options
  const socket = io(url, { forceNew: true, ...socketOptions })
  t.teardown(() => socket.disconnect())
  /** For each connection, what it heard of each chapter. */
  const heard: Map<number, number[]>[] = []
  const firsts = new Map<string, number>()
  const awayMs: number[] = []
  let lostAt: number | undefined
  let repeated = 0

  socket.on('connect', () => {
    heard.push(new Map())
    if (lostAt !== undefined) awayMs.push(performance.now() - lostAt)
    lostAt = undefined
  })
  socket.on('disconnect', () => {
    lostAt = performance.now()
  })
  socket.once('connect', () => {
    for (const chapterId of chapters) socket.emit('join_chapter', { chapter_id: chapterId })
  })
  socket.onAny((_name: string, payload: { seq?: number; chapter_id: number }) => {
    if (payload.seq === undefined) return
    const { chapter_id: chapterId, seq } = payload
    const seqs = heard.at(-1)?.get(chapterId) ?? []
    heard.at(-1)?.set(chapterId, [...seqs, seq])
    const key = `${chapterId}:${seq}`
    if (firsts.has(key)) repeated += 1
    else firsts.set(key, performance.now())
  })

  return {
    socket,
    awayMs,
    get connections() {
      return heard.length
    },
    get repeated() {
      return repeated
    },
    async join(chapterId) {
      const ask = () => socket.timeout(5000).emitWithAck('join_chapter', { chapter_id: chapterId })
      await waitFor(`chapter ${chapterId} is joined`, async () => (await ask()).ok, { timeoutMs: 30_000 })
    },
    hasHeard: (chapterId, seq) => (heard.at(-1)?.get(chapterId)?.at(-1) ?? 0) >= seq,
    heardAt: (chapterId, seq) => firsts.get(`${chapterId}:${seq}`),
    faults() {
      return heard.flatMap((chapters, connection) =>
        [...chapters].flatMap(([chapterId, seqs]) =>
          seqs.every((seq, index) => seq === index + 1)
            ? []
            : [`connection ${connection + 1}, chapter ${chapterId}: ${seqs.join(' ')}`],
        ),
      )
    },
  }
}

/** The middle and the largest, e.g. `p50 12 ms, max 80 ms`. */
export function spread(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms of ${sorted.length}`
}

/** A measurement, printed when asked for: `TEST_NUMBERS=1 npm test -- …`. */
export function tell(text: string): void {
  if (process.env.TEST_NUMBERS) console.log(`      ${text}`)
}
