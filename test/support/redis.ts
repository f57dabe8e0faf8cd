/**
 * Redis for the tests: the one of `REDIS_URL`, which all share by prefix, and servers of a test’s own, which it may
 * stop, freeze and start again.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { findBinary } from './binaries.js'
import { freePort, waitFor } from './condition.js'
import type { Ending } from './ending.js'
import type { Service } from './services.js'

export const REDIS: Service = {
  name: 'Redis',
  envVar: 'REDIS_URL',
  exampleUrl: 'redis://localhost:6379',
  binaries: ['redis-server'],
  folders: () => [],
  debianPackage: 'redis-server',
  async start({ installation, directory, user, env, keep }) {
    const port = await freePort()
    const server = spawnServer(`${installation}/redis-server`, port, { ...user, env, cwd: directory })
    if (server.pid !== undefined) keep(server.pid, 'SIGKILL')
    const url = `redis://127.0.0.1:${port}`
    await answers(url, server)
    server.unref()
    return url
  },
  version: async (url) => {
    const info = await asking(url, (redis) => redis.info('server'))
    return /redis_version:(\S+)/.exec(info)?.[1] ?? 'of unknown version'
  },
}

/** The Redis that the tests share; channels and keys begin with the test’s own prefix. */
export function sharedRedisUrl(): string {
  const url = process.env.REDIS_URL
  if (url) return url
  throw new Error('REDIS_URL is not set: run `npm test -- FILE`, which starts a Redis for the tests')
}

/** Of channels and keys; nobody else’s. */
export function redisPrefix(): string {
  return `test-${randomBytes(6).toString('hex')}`
}

export interface OwnRedis {
  readonly url: string
  readonly port: number
  /** Ends it as a crash does. What it knew is gone. */
  stop(): Promise<void>
  /** Again, on the same port; resolves when it answers. */
  start(): Promise<void>
  /** Its connections stay open, new ones are taken, and nothing is answered. */
  freeze(): void
  thaw(): void
}

/** A Redis that nobody else uses, ended with the test. Starts again on the same port. */
export async function ownRedis(t: Ending, onPort?: number): Promise<OwnRedis> {
  const binary = findBinary(['redis-server'])
  if (binary === undefined) throw new Error('redis-server is needed: run `apt-get install redis-server`')
  const port = onPort ?? (await freePort())
  const url = `redis://127.0.0.1:${port}`
  let server: ChildProcess | undefined

  async function start(): Promise<void> {
    server = spawnServer(binary as string, port, {})
    await answers(url, server)
  }
  async function stop(): Promise<void> {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const exit = once(server, 'exit')
    server.kill('SIGKILL')
    await exit
  }
  t.teardown(stop)
  await start()
  return {
    url,
    port,
    start,
    stop,
    freeze: () => void server?.kill('SIGSTOP'),
    thaw: () => void server?.kill('SIGCONT'),
  }
}

function spawnServer(binary: string, port: number, options: object): ChildProcess {
  const settings = { bind: '127.0.0.1', port, save: '', appendonly: 'no', loglevel: 'warning' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  return spawn(binary, args, { detached: true, stdio: 'ignore', ...options })
}

async function answers(url: string, server: ChildProcess): Promise<void> {
  const ended = new AbortController()
  server.once('error', (error) => ended.abort(error))
  server.once('exit', (code) => ended.abort(new Error(`redis-server ended with code ${code}`)))
  await waitFor('Redis to answer', () => asking(url, (redis) => redis.ping()), {
    timeoutMs: 30_000,
    signal: ended.signal,
  })
}

/** One connection for one errand. */
export async function asking<T>(url: string, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0, connectTimeout: 5000 })
  redis.on('error', () => {})
  try {
    return await ask(redis)
  } finally {
    redis.disconnect()
  }
}
