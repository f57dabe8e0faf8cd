/**
 * `npm test [-- files and options of tap]`: provides what the tests need, runs them with tap and leaves
 * nothing running, however it ends (see support/keeper.ts).
 *
 * The last line is `N passed, N failed`, counted in test cases; the exit code is tap's. Tests find the
 * services in environment variables (see support/services.ts). `TEST_KEEP=1` keeps the services of a
 * failed run, and with them the databases of its failed tests, until Ctrl-C.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, statfs } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { findChromium } from './support/chromium.js'
import { reportTap } from './support/report.js'
import { provide, SERVICES } from './support/services.js'

const directory = await realpath(await mkdtemp(join(await temporaryFolder(), 'chaptercast-')))
const keeper = startKeeper()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, async () => {
    await endOf(keeper)
    process.exit(128 + constants.signals[signal])
  })
}

try {
  await buildClient()
  process.exitCode = await runTests(await prepareEnvironment(), process.argv.slice(2))
  if (process.exitCode !== 0 && process.env.TEST_KEEP) {
    console.error('TEST_KEEP: the services stay until Ctrl-C')
    await delay(2 ** 31 - 1)
  }
  keeper.stdin?.write('done\n')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
await endOf(keeper)

/** The server serves it compiled, also when tests run the server from source. */
async function buildClient(): Promise<void> {
  const typescript = createRequire(import.meta.url).resolve('typescript/package.json')
  const folder = fileURLToPath(new URL('../src/client', import.meta.url))
  const tsc = spawn(process.execPath, [join(dirname(typescript), 'bin/tsc'), '-b', folder], {
    stdio: 'inherit',
  })
  const [code] = await once(tsc, 'exit')
  if (code !== 0) throw new Error('src/client does not compile')
}

async function prepareEnvironment(): Promise<NodeJS.ProcessEnv> {
  const env: NodeJS.ProcessEnv = { ...process.env, TEST_RUN: directory }
  const summaries = [`Node ${process.version}`]
  for (const service of SERVICES) {
    const { url, summary } = await provide(service, { directory, env, keep })
    env[service.envVar] = url
    summaries.push(summary)
  }
  const chromium = await findChromium()
  if (chromium) env.CHROMIUM_PATH = chromium.path
  summaries.push(
    chromium
      ? `${chromium.version} at ${chromium.path}`
      : 'Chromium: none: page tests are skipped (apt-get install chromium)',
  )
  console.log(`${summaries.join('\n')}\n`)
  return env
}

async function runTests(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<number> {
  const tapPackage = createRequire(import.meta.url).resolve('tap/package.json')
  const tap = spawn(
    process.execPath,
    [join(dirname(tapPackage), 'dist/esm/run.mjs'), '--reporter=tap', ...args],
    // A group of its own: Ctrl-C is for the runner alone, which has the rest ended in order.
    { env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  if (tap.pid !== undefined) keep(tap.pid, 'SIGTERM')
  const exit = once(tap, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals | null]>
  const [tally, [code, signal]] = await Promise.all([reportTap(tap.stdout, console.log), exit])
  if (signal) console.error(`tap was ended by ${signal}`)
  if (tally.skipped) console.log(`\n${tally.skipped} skipped`)
  console.log(`\n${tally.passed} passed, ${tally.failed} failed`)
  return code || (signal || tally.failed ? 1 : 0)
}

/**
 * Memory where there is plenty: PostgreSQL creates a database in 10 ms there, and took 300 ms on a disk
 * with fsync off. (A container's /dev/shm has 64 MB unless told otherwise, too little for a cluster.)
 */
async function temporaryFolder(): Promise<string> {
  if (process.env.TMPDIR) return tmpdir()
  const memory = await statfs('/dev/shm').catch(() => undefined)
  return memory && memory.bavail * memory.bsize > 2 * 1024 ** 3 ? '/dev/shm' : tmpdir()
}

function startKeeper(): ChildProcess {
  const file = fileURLToPath(new URL('support/keeper.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', file, directory], {
    detached: true,
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  // Written to after its end: the run was interrupted, and the keeper knows all it needs.
  child.stdin?.on('error', () => {})
  return child
}

function keep(pid: number, signal: NodeJS.Signals): void {
  keeper.stdin?.write(`service ${pid} ${signal}\n`)
}

/** Lets the keeper do its work; returns when nothing of the run is left. */
async function endOf(child: ChildProcess): Promise<void> {
  child.stdin?.end()
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
