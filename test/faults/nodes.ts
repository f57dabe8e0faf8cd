/** The nodes: processes of the built server, each with its own way to PostgreSQL, Redis and the broker. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, waitFor } from '../support/condition.js'
import type { Ending } from '../support/ending.js'
import type { PrivateRun } from '../support/private-run.js'
import { type Address, type TcpProxy, tcpProxy } from '../support/tcp-proxy.js'
import type { Findings } from './promises.js'

export interface FaultyNode {
  readonly index: number
  readonly url: string
  /** Its ways to the services. */
  readonly postgres: TcpProxy
  readonly redis: TcpProxy
  readonly kafka: TcpProxy
  /** Takes requests, as far as a load balancer would know. */
  readonly isServing: boolean
  /** By `Date.now()`: until then something happened to it, or it was about to. */
  troubledUntil: number
  /** The same for its way to the database. */
  cutOffUntil: number
  readonly log: string
  /** Resolves when it is ready. */
  start(): Promise<void>
  kill(): Promise<void>
  /** In order. */
  stop(): Promise<void>
  freeze(): void
  thaw(): void
  /** Sets its clock wrong, or right again. */
  turnClock(): void
  /** From its next start on it runs this project. */
  update(project: string): void
  dependencies(): Promise<Record<string, string>>
}

export interface Ways {
  postgres: () => Address
  redis: () => Address
  kafka: () => Address
}

export interface NodesPlan {
  count: number
  /** The folder whose `dist/server.js` is run. */
  project: string
  ways: Ways
  /** Settings of every node; those with addresses are made here. */
  settings: Record<string, string>
  /** Ports that are reached directly. */
  knownPorts: readonly number[]
  databaseName: string
  /** Where their logs go. */
  logs: string
}

/** Two nodes beside each other are this far apart when their clocks are turned. */
export const CLOCKS_APART_MS = 90_000
const PRELOAD = fileURLToPath(new URL('../../dist-test/faults/preload.js', import.meta.url))
const READY = { timeoutMs: 300_000, everyMs: 50 }

export async function createNodes(
  ending: Ending,
  run: PrivateRun,
  plan: NodesPlan,
  findings: Findings,
): Promise<FaultyNode[]> {
  return Promise.all(
    Array.from({ length: plan.count }, (_, index) => createNode(ending, run, plan, findings, index)),
  )
}

async function createNode(
  ending: Ending,
  { env }: PrivateRun,
  { project: firstProject, ways, settings, knownPorts, databaseName, logs }: NodesPlan,
  findings: Findings,
  index: number,
): Promise<FaultyNode> {
  const way = async (target: () => Address) => tcpProxy(ending, target, { port: await freePort() })
  const [postgres, redis, kafka] = [await way(ways.postgres), await way(ways.redis), await way(ways.kafka)]
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const log = join(logs, `node-${index}.log`)
  let project = firstProject
  let child: ChildProcess | undefined
  let isToldToEnd = true
  let isServing = false
  ending.teardown(() => end('SIGKILL'))

  const environment = {
    PATH: env.PATH,
    TEST_RUN: env.TEST_RUN,
    ...settings,
    HOST: '127.0.0.1',
    PORT: String(port),
    // Workers see who sent them a job, and call whom they like.
    PUBLIC_URL: `http://node-${index}.test`,
    DATABASE_URL: `postgres://postgres@127.0.0.1:${postgres.port}/${databaseName}`,
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    ...(settings.DISPATCH === 'http' ? {} : { KAFKA_BROKERS: `127.0.0.1:${kafka.port}` }),
    FAULTS_CLOCK_MS: String(index % 2 === 0 ? CLOCKS_APART_MS / 2 : -CLOCKS_APART_MS / 2),
    FAULTS_BROKER_PORT: String(kafka.port),
    FAULTS_KNOWN_PORTS: [postgres.port, redis.port, kafka.port, ...knownPorts].join(','),
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    isToldToEnd = true
    isServing = false
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }

  async function dependencies(): Promise<Record<string, string>> {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(3000) })
    if (!response.ok) throw new Error(`/readyz says ${response.status}`)
    return ((await response.json()) as { dependencies: Record<string, string> }).dependencies
  }

  const node: FaultyNode = {
    index,
    url,
    postgres,
    redis,
    kafka,
    log,
    troubledUntil: 0,
    cutOffUntil: 0,
    get isServing() {
      return isServing
    },
    async start() {
      isToldToEnd = false
      const output = openSync(log, 'a')
      const started = spawn(process.execPath, ['--import', PRELOAD, join(project, 'dist/server.js')], {
        cwd: logs,
        env: environment,
        stdio: ['ignore', output, output],
      })
      child = started
      started.once('exit', (code, signal) => {
        if (isToldToEnd || child !== started) return
        isServing = false
        findings.found(
          'died',
          `node ${index} ended (${code ?? signal}): ${readFileSync(log, 'utf8').slice(-600)}`,
        )
      })
      await waitFor(
        `node ${index} to be ready`,
        async () => {
          if (started.exitCode !== null)
            throw new Error(`it ended: ${readFileSync(log, 'utf8').slice(-1500)}`)
          return dependencies()
        },
        READY,
      )
      isServing = true
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    freeze() {
      isServing = false
      child?.kill('SIGSTOP')
    },
    thaw() {
      child?.kill('SIGCONT')
      isServing = true
    },
    turnClock: () => void child?.kill('SIGUSR2'),
    update(next) {
      project = next
    },
    dependencies,
  }
  return node
}
