/**
 * Several nodes of one system: one PostgreSQL database of the test’s own, one Redis prefix, one Kafka prefix.
 *
 *     const system = await startNodes(t, 3)                      // in this process: fast
 *     const system = await startNodes(t, 3, { process: true })   // the built server: can be killed with -9
 *     const system = await startNodes(t, 2, { proxies: true })   // nodes[0].redis.stall(), nodes[1].postgres.cut()
 *
 * Everything ends with the test. An unhandled rejection ends a process: in this one it fails the test, of the others
 * `system.diedByThemselves()` tells. What sockets saw against the log is in `watch.ts`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import pino from 'pino'
import type { Test } from 'tap'
import { buildApp, type Overrides } from '../../src/app.js'
import { readConfig } from '../../src/config/config.js'
import { freePort, waitFor } from './condition.js'
import { postgresUrl } from './database.js'
import { redisPrefix, sharedRedisUrl } from './redis.js'
import { buildSerializer } from './serializers.js'
import { type TcpProxy, tcpProxy } from './tcp-proxy.js'

export interface NodesOptions {
  /** Settings of every node, or of each by its index. */
  env?: Record<string, string> | ((index: number) => Record<string, string>)
  /** Processes of their own. */
  process?: boolean
  /** Each node reaches Redis and PostgreSQL through a proxy of its own. */
  proxies?: boolean
  /** Default: the Redis that the tests share. `false`: none. */
  redisUrl?: string | false
  /** Default: a fresh one with migrations. */
  databaseUrl?: string
  /** Use the brokers of the run; else work is kept by nobody and webhooks are the test’s to call. */
  kafka?: boolean
  /** In this process only. Default: due work is polled every 50 ms. */
  overrides?: Overrides
  /** Do not wait until the nodes are ready. */
  isNotAwaited?: boolean
}

export interface TestNode {
  readonly url: string
  readonly port: number
  /** With `proxies`. */
  readonly redis: TcpProxy
  readonly postgres: TcpProxy
  /** Without `process`. */
  readonly app: FastifyInstance
  /** With `process`. */
  readonly child: ChildProcess
  /** Lines of its log so far, parsed; what is no JSON is `msg`. */
  readonly log: LogLine[]
  /** Leaves in order: SIGTERM, or `app.close()`. */
  stop(): Promise<void>
  /** -9; only with `process`. */
  kill(): Promise<void>
  /** Again after it ended, on the same port. */
  start(): Promise<void>
  readyz(): Promise<{ status: number; dependencies: Record<string, string> }>
}

export interface LogLine {
  level: number
  msg: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever was logged
  [key: string]: any
}

export interface NodeSystem {
  nodes: TestNode[]
  /** Not through a proxy. */
  databaseUrl: string
  redisUrl: string
  redisPrefix: string
  kafkaPrefix: string
  /** Nodes that ended although nobody told them to, with the end of their logs. */
  diedByThemselves(): string[]
}

const SERVER = fileURLToPath(new URL('../../dist/server.js', import.meta.url))
const READY_MS = 150_000

export async function startNodes(t: Test, count: number, options: NodesOptions = {}): Promise<NodeSystem> {
  const databaseUrl = options.databaseUrl ?? (await postgresUrl(t))
  const redisUrl = options.redisUrl === false ? '' : (options.redisUrl ?? sharedRedisUrl())
  const prefix = redisPrefix()
  const kafkaPrefix = `test-${randomBytes(6).toString('hex')}-`
  const shared = {
    HOST: '127.0.0.1',
    GENERATOR: 'off',
    LOG_LEVEL: 'info',
    MAX_ROOMS_PER_SOCKET: '100000',
    REDIS_PREFIX: prefix,
    ...(options.kafka ? { KAFKA_BROKERS: String(process.env.KAFKA_BROKERS) } : { KAFKA_BROKERS: '' }),
    KAFKA_TOPIC_PREFIX: kafkaPrefix,
  }
  const nodes = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const through = async (url: string) => {
        if (!options.proxies || url === '') return { url, proxy: undefined }
        const { hostname, port } = new URL(url)
        const proxy = await tcpProxy(t, { host: hostname, port: Number(port) })
        return { url: url.replace(`${hostname}:${port}`, `127.0.0.1:${proxy.port}`), proxy }
      }
      const [database, redis] = [await through(databaseUrl), await through(redisUrl)]
      const own = typeof options.env === 'function' ? options.env(index) : options.env
      const port = await freePort()
      const env = {
        ...shared,
        DATABASE_URL: database.url,
        REDIS_URL: redis.url,
        PORT: String(port),
        ...own,
      }
      return testNode(t, { env, port, redis: redis.proxy, postgres: database.proxy, options })
    }),
  )
  const ready = nodes.map(async (node) => node.start())
  if (options.isNotAwaited) for (const started of ready) started.catch(() => {})
  else await Promise.all(ready)
  return {
    nodes,
    databaseUrl,
    redisUrl,
    redisPrefix: prefix,
    kafkaPrefix,
    diedByThemselves: () => nodes.flatMap((node) => node.death() ?? []),
  }
}

interface NodeParts {
  env: Record<string, string>
  port: number
  redis: TcpProxy | undefined
  postgres: TcpProxy | undefined
  options: NodesOptions
}

function testNode(t: Test, { env, port, redis, postgres, options }: NodeParts) {
  const url = `http://127.0.0.1:${port}`
  const log: LogLine[] = []
  let app: FastifyInstance | undefined
  let child: ChildProcess | undefined
  let isToldToEnd = false
  t.teardown(() => (options.process ? kill() : stop()))

  async function start(): Promise<void> {
    isToldToEnd = false
    if (options.process) {
      child = spawnNode(env, log)
      await waitFor(
        'the node to be ready',
        () => {
          if (hasEnded(child)) throw new Error(`it ended: ${tail(log)}`)
          return readyz().then(({ status }) => status === 200)
        },
        { timeoutMs: READY_MS, everyMs: 100 },
      )
      return
    }
    const config = readConfig(env)
    const logger = pino({ level: config.logLevel }, { write: (line) => addLine(log, line) })
    app = await buildApp(config, { buildSerializer, pollMs: 50, logger, ...options.overrides })
    await app.listen({ host: config.host, port })
  }

  async function stop(): Promise<void> {
    isToldToEnd = true
    if (app !== undefined) await app.close()
    await ended('SIGTERM')
  }

  async function kill(): Promise<void> {
    isToldToEnd = true
    await ended('SIGKILL')
  }

  async function ended(signal: NodeJS.Signals): Promise<void> {
    if (child === undefined || hasEnded(child)) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }

  async function readyz() {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5000) })
    const body = (await response.json()) as { dependencies: Record<string, string> }
    return { status: response.status, dependencies: body.dependencies }
  }

  return {
    url,
    port,
    log,
    start,
    stop,
    kill,
    readyz,
    get redis() {
      return given(redis, 'proxies')
    },
    get postgres() {
      return given(postgres, 'proxies')
    },
    get app() {
      return given(app, 'no process')
    },
    get child() {
      return given(child, 'process')
    },
    death() {
      if (!hasEnded(child) || isToldToEnd) return undefined
      return `${url} ended (${child?.exitCode ?? child?.signalCode}): ${tail(log)}`
    },
  }
}

/** One address for clients, which leads to one node and later to another. */
export async function frontOf(t: Test, node: { port: number }) {
  const target = { host: '127.0.0.1', port: node.port }
  const { port } = await tcpProxy(t, target)
  return {
    url: `http://127.0.0.1:${port}`,
    leadTo(other: { port: number }) {
      target.port = other.port
    },
  }
}

/** The server as it is run, with these settings and none of the environment’s. */
export function spawnNode(env: Record<string, string>, log: LogLine[]): ChildProcess {
  const { PATH = '', TEST_RUN = '', TMPDIR = '' } = process.env
  const child = spawn(process.execPath, [SERVER], {
    env: { PATH, TEST_RUN, ...(TMPDIR === '' ? {} : { TMPDIR }), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) {
    let rest = ''
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) addLine(log, line)
    })
  }
  return child
}

function addLine(log: LogLine[], line: string): void {
  try {
    log.push(JSON.parse(line))
  } catch {
    log.push({ level: 0, msg: line })
  }
}

export function hasEnded(child: ChildProcess | undefined): boolean {
  return child !== undefined && (child.exitCode !== null || child.signalCode !== null)
}

export function tail(log: readonly LogLine[]): string {
  return log
    .slice(-8)
    .map(({ msg, err }) => (err === undefined ? msg : `${msg} (${err.message})`))
    .join(' | ')
}

function given<T>(value: T | undefined, option: string): T {
  if (value === undefined) throw new Error(`startNodes was asked for nodes without ${option}`)
  return value
}
