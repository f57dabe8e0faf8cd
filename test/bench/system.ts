/** The programs that are measured, and several nodes of one on a database, a Redis prefix and topics of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { compiledFile } from '../support/compile.js'
import { freePort, waitFor } from '../support/condition.js'

export const PROGRAMS = ['floor', 'chaptercast', 'chaptercast without Kafka'] as const
export type Program = (typeof PROGRAMS)[number]

export interface Services {
  /** For the logs of nodes. */
  directory: string
  env: NodeJS.ProcessEnv
  databaseUrl: string
  redisUrl: string
  kafkaBrokers: string
  /** PostgreSQL's and Redis's processes, without their children; none where they were there already. */
  pids: number[]
  /** Where CPU profiles go, if anywhere. */
  profiles: string | undefined
}

export interface BenchNode {
  url: string
  pid: number
  process: ChildProcess
}

export interface System {
  program: Program
  nodes: BenchNode[]
  /** Nodes leave in order, so that profiles are written. */
  stop(): Promise<void>
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const START_LIMIT_MS = 60_000

/** Resolves when all of them serve. */
export async function startSystem(program: Program, count: number, services: Services): Promise<System> {
  const database = `bench_${randomBytes(6).toString('hex')}`
  await createDatabase(services.databaseUrl, database)
  const url = new URL(services.databaseUrl)
  url.pathname = `/${database}`
  const shared: NodeJS.ProcessEnv = {
    DATABASE_URL: url.href,
    REDIS_URL: services.redisUrl,
    REDIS_PREFIX: database,
    ...(program === 'floor'
      ? {}
      : {
          HOST: '127.0.0.1',
          GENERATOR: 'off',
          LOG_LEVEL: 'warn',
          KAFKA_BROKERS: program === 'chaptercast' ? services.kafkaBrokers : '',
          KAFKA_TOPIC_PREFIX: `${database}-`,
        }),
  }
  const start = (index: number) => startNode(program, `${database}-${index}`, shared, services)
  // The first one makes the tables.
  const nodes = [await start(0)]
  nodes.push(...(await Promise.all(Array.from({ length: count - 1 }, (_, index) => start(index + 1)))))
  return {
    program,
    nodes,
    stop: async () => void (await Promise.all(nodes.map((node) => endNode(node, 'SIGTERM')))),
  }
}

export async function endNode({ process: child }: BenchNode, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill(signal)
  await exit
}

async function startNode(
  program: Program,
  name: string,
  shared: NodeJS.ProcessEnv,
  { directory, env, profiles }: Services,
): Promise<BenchNode> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const log = join(directory, `${name}.log`)
  const output = openSync(log, 'w')
  const profile = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`]
  const file = program === 'floor' ? compiledFile('test/bench/floor.ts') : 'dist/server.js'
  const child = spawn(process.execPath, [...profile, join(ROOT, file)], {
    cwd: directory,
    env: { PATH: env.PATH, TEST_RUN: env.TEST_RUN, ...shared, PORT: String(port), PUBLIC_URL: url },
    stdio: ['ignore', output, output],
  })
  const ended = new AbortController()
  child.once('exit', (code) =>
    ended.abort(new Error(`${program} ended with code ${code}:\n${readFileSync(log, 'utf8').slice(-3000)}`)),
  )
  await waitFor(`${program} to serve`, async () => (await fetch(`${url}/readyz`)).ok, {
    timeoutMs: START_LIMIT_MS,
    everyMs: 30,
    signal: ended.signal,
  })
  return { url, pid: child.pid ?? 0, process: child }
}

async function createDatabase(serverUrl: string, name: string): Promise<void> {
  const sql = postgres(serverUrl, { max: 1, onnotice() {} })
  try {
    await sql`create database ${sql(name)}`
  } finally {
    await sql.end({ timeout: 1 })
  }
}
