/**
 * Faults on the wire: a TCP proxy that forwards, stalls (connections stay open and nothing passes, as when a
 * machine or a network is gone without a word), or refuses.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

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
}

export async function tcpProxy(t: Test, target: { host: string; port: number }): Promise<TcpProxy> {
  let state: 'forwarding' | 'stalled' | 'cut' = 'forwarding'
  let accepted = 0
  const listeners: ((bytes: Buffer) => void)[] = []
  const pairs = new Set<{ near: Socket; far: Socket }>()
  const abandoned = new Set<{ near: Socket; far: Socket }>()

  const server = createServer((near) => {
    accepted += 1
    near.on('error', () => {})
    if (state === 'cut') return near.resetAndDestroy()
    const far = connect(target)
    const pair = { near, far }
    pairs.add(pair)
    far.on('error', () => {})
    const end = () => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    near.on('close', end)
    far.on('close', end)
    near.pipe(far)
    far.pipe(near)
    far.on('data', (bytes: Buffer) => {
      for (const listener of listeners) listener(bytes)
    })
    if (state === 'stalled') hold(pair)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const { near, far } of [...pairs, ...abandoned]) {
      near.destroy()
      far.destroy()
    }
    server.close()
  })

  function hold({ near, far }: { near: Socket; far: Socket }): void {
    near.unpipe(far)
    far.unpipe(near)
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
        for (const { near, far } of pairs) {
          near.pipe(far)
          far.pipe(near)
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
      for (const { near, far } of pairs) {
        far.unpipe(near)
        far.resume()
      }
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
