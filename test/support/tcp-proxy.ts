/**
 * Faults on the wire: a TCP proxy that forwards, stalls (connections stay open and nothing passes, as when a
 * machine or a network is gone without a word), slows down, or refuses.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import type { Ending } from './ending.js'

export interface Address {
  host: string
  port: number
}

export interface TcpProxy {
  readonly port: number
  /** Connections that were accepted, in all. */
  readonly accepted: number
  /** Is told of everything that the target answers, in pieces as they come. */
  onAnswer(listener: (bytes: Buffer) => void): void
  /** From now on nothing passes, in either direction, and new connections are accepted into silence. */
  stall(): void
  /** What was held back passes, and everything after it. */
  resume(): void
  /** Resets every connection and, until `resume`, each new one. */
  cut(): void
  /** The connections of now stay open and silent for ever, as when their other end is gone; new ones are well. */
  abandon(): void
  /** Of the connections of now what is sent arrives, and what is answered does not. */
  mute(): void
  /** From now on everything arrives that much later, ms, in both directions; 0 as at first. */
  slow(delayMs: number): void
}

interface Pair {
  near: Socket
  far: Socket
  there: Transform
  back: Transform
}

export interface ProxyOptions {
  /** The port to listen on; a free one unless given. */
  port?: number
}

/** @param target where connections go; a function is asked for each, `undefined` refuses it */
export async function tcpProxy(
  t: Ending,
  target: Address | (() => Address | undefined),
  { port = 0 }: ProxyOptions = {},
): Promise<TcpProxy> {
  let state: 'forwarding' | 'stalled' | 'cut' = 'forwarding'
  let accepted = 0
  let delayMs = 0
  const listeners: ((bytes: Buffer) => void)[] = []
  const pairs = new Set<Pair>()
  const abandoned = new Set<Pair>()

  const server = createServer((near) => {
    accepted += 1
    near.on('error', () => {})
    const address = typeof target === 'function' ? target() : target
    if (state === 'cut' || address === undefined) return near.resetAndDestroy()
    const far = connect(address)
    const pair = { near, far, there: delaying(() => delayMs), back: delaying(() => delayMs) }
    pairs.add(pair)
    far.on('error', () => {})
    const end = () => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    near.on('close', end)
    far.on('close', end)
    flow(pair)
    far.on('data', (bytes: Buffer) => {
      for (const listener of listeners) listener(bytes)
    })
    if (state === 'stalled') hold(pair)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const { near, far } of [...pairs, ...abandoned]) {
      near.destroy()
      far.destroy()
    }
    server.close()
  })

  function flow({ near, far, there, back }: Pair): void {
    near.pipe(there).pipe(far)
    far.pipe(back).pipe(near)
  }

  function hold({ near, far, there, back }: Pair): void {
    near.unpipe(there)
    far.unpipe(back)
    near.pause()
    far.pause()
  }

  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted
    },
    onAnswer: (listener) => void listeners.push(listener),
    stall() {
      state = 'stalled'
      for (const pair of pairs) hold(pair)
    },
    resume() {
      if (state === 'stalled')
        for (const { near, far, there, back } of pairs) {
          near.pipe(there)
          far.pipe(back)
        }
      state = 'forwarding'
    },
    abandon() {
      for (const pair of pairs) {
        hold(pair)
        pairs.delete(pair)
        abandoned.add(pair)
      }
    },
    mute() {
      for (const { far, back } of pairs) {
        far.unpipe(back)
        far.resume()
      }
    },
    slow(ms) {
      delayMs = ms
    },
    cut() {
      state = 'cut'
      for (const { near, far } of pairs) {
        near.resetAndDestroy()
        far.destroy()
      }
    },
  }
}

/** Hands on what comes after that time, in order; at once while it is 0 and nothing waits. */
function delaying(delayMs: () => number): Transform {
  const waiting: { due: number; bytes: Buffer }[] = []
  let timer: NodeJS.Timeout | undefined
  let flushed: (() => void) | undefined
  const release = () => {
    timer = undefined
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const wait = first.due - performance.now()
      if (wait > 0) {
        timer = setTimeout(release, wait)
        return
      }
      waiting.shift()
      stage.push(first.bytes)
    }
    flushed?.()
  }
  const stage = new Transform({
    transform(bytes: Buffer, _encoding, taken) {
      if (delayMs() === 0 && waiting.length === 0) return taken(null, bytes)
      const due = Math.max(performance.now() + delayMs(), waiting.at(-1)?.due ?? 0)
      waiting.push({ due, bytes })
      timer ??= setTimeout(release, delayMs())
      taken()
    },
    flush(done) {
      flushed = done
      if (waiting.length === 0) done()
    },
    destroy(error, done) {
      clearTimeout(timer)
      done(error)
    },
  })
  return stage
}
