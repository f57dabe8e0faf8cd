/**
 * How a node leaves: first the proxy notices (`/readyz` says so) and everything is still served, then nothing new is
 * taken, then connections that hold up the close are ended.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../config/config.js'
import type { Connections } from './connections.js'

export interface Lifecycle {
  /** Not ready any more; everything is still served. */
  isDraining(): boolean
  /** Nothing new is taken. */
  isClosing(): boolean
  /** How long sockets may take to close, ms. */
  readonly closeSocketsMs: number
  /** Before every other part: its hooks run first. */
  register(app: FastifyInstance): void
  /** These must not delay the shutdown. */
  endConnections(connections: Pick<Connections, 'destroyIdle' | 'destroyAll'>): void
}

/** Ctrl-C ends within two seconds. */
const CLOSE_SOCKETS_MS = 1000
/** After the sockets, other idle connections may take so long, ms. */
const CLOSE_IDLE_MS = 300
/** Kept of `SHUTDOWN_TIMEOUT_MS` for closing the rest, ms. */
const LAST_MS = 1000

export function createLifecycle({
  drainDelayMs,
  shutdownTimeoutMs,
}: Pick<Config, 'drainDelayMs' | 'shutdownTimeoutMs'>): Lifecycle {
  let stage: 'open' | 'draining' | 'closing' = 'open'
  let connections: Pick<Connections, 'destroyIdle' | 'destroyAll'> | undefined
  const closeSocketsMs = Math.max(CLOSE_SOCKETS_MS, drainDelayMs / 2)
  return {
    isDraining: () => stage !== 'open',
    isClosing: () => stage === 'closing',
    closeSocketsMs,
    register(app) {
      const timers: NodeJS.Timeout[] = []
      app.addHook('preClose', async () => {
        stage = 'draining'
        await delay(drainDelayMs)
        stage = 'closing'
        // Idle connections must not delay shutdown: Fastify waits for every one.
        const idleMs = closeSocketsMs + CLOSE_IDLE_MS
        timers.push(setTimeout(() => connections?.destroyIdle(), idleMs))
        const allMs = Math.max(idleMs, shutdownTimeoutMs - drainDelayMs - LAST_MS)
        timers.push(setTimeout(() => connections?.destroyAll(), allMs))
      })
      app.addHook('onClose', async () => {
        for (const timer of timers) clearTimeout(timer)
      })
    },
    endConnections(given) {
      connections = given
    },
  }
}
