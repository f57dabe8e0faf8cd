/**
 * Runs compiled test files in several processes (see lane.ts), each of which runs one file after another, and reports each
 * file as it ends. A file keeps its own time: a test that takes longer than `TAP_TIMEOUT` fails by itself.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { totalmem } from 'node:os'
import { PassThrough } from 'node:stream'
import { compiledFile } from './compile.js'
import type { LaneMessage } from './lane.js'
import { reportFile, type Tally } from './report.js'

/** A file that is still running then does not even end itself any more. */
const LIMIT_MS = 700_000
/** A process that holds more is replaced; so much at least, and all together a third of the machine’s memory. */
const MEMORY_BYTES = 700 * 2 ** 20

export interface RunOptions {
  env: NodeJS.ProcessEnv
  /** How many files run at once. */
  jobs: number
  /** Ends the running files; no further file starts. */
  signal: AbortSignal
  print(text: string): void
}

/** Runs the files in the order given. */
export async function runFiles(files: readonly string[], options: RunOptions): Promise<Tally> {
  const waiting = [...new Set(files)]
  const total: Tally = { passed: 0, failed: 0, skipped: 0 }
  const memoryBytes = Math.max(MEMORY_BYTES, totalmem() / 3 / options.jobs)
  const lanes = Array.from({ length: options.jobs }, async () => {
    let lane: Lane | undefined
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      if (options.signal.aborted) break
      lane ??= startLane(options)
      const tally = await runFile(lane, file, options)
      total.passed += tally.passed
      total.failed += tally.failed
      total.skipped += tally.skipped
      // What a failed test left undone must not fail the next one.
      const isWornOut = tally.failed > 0 || lane.memoryBytes > memoryBytes
      if (!isWornOut) continue
      total.failed += await endLane(lane, options)
      lane = undefined
    }
    if (lane) total.failed += await endLane(lane, options)
  })
  await Promise.all(lanes)
  return total
}

interface Lane {
  child: ChildProcess
  ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>
  files: string[]
  memoryBytes: number
}

function startLane({ env, signal }: RunOptions): Lane {
  const child = spawn(process.execPath, ['--enable-source-maps', compiledFile('test/support/lane.ts')], {
    env,
    // A group of its own: Ctrl-C is for the runner alone, which has the rest ended in order.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const end = () => child.kill('SIGTERM')
  signal.addEventListener('abort', end)
  const ended = once(child, 'exit') as Lane['ended']
  void ended.then(() => signal.removeEventListener('abort', end))
  return { child, ended, files: [], memoryBytes: 0 }
}

/** Gives 1 when it did not end well, although its files did. */
async function endLane({ child, ended, files }: Lane, { print }: RunOptions): Promise<number> {
  if (child.connected) child.disconnect()
  const [code, signal] = await ended
  if (code === 0 || child.killed) return 0
  print(`\nnot ok  a process ended with ${signal ?? `code ${code}`}, after ${files.join(', ')}\n`)
  return 1
}

async function runFile(lane: Lane, file: string, { print }: RunOptions): Promise<Tally> {
  const startedAt = performance.now()
  const { child } = lane
  lane.files.push(file)
  const output = new PassThrough()
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const end = new Promise<{ cpuMs: number; failure?: string }>((resolve) => {
    const onMessage = (message: LaneMessage) => {
      if ('tap' in message) return output.write(message.tap)
      // tap sends messages of its own.
      if (!('end' in message)) return
      lane.memoryBytes = message.end.memoryBytes
      child.off('message', onMessage)
      resolve(message.end)
    }
    child.on('message', onMessage)
    void lane.ended.then(([code, signal]) => {
      resolve({ cpuMs: 0, failure: signal ? `it was ended by ${signal}` : `it ended with code ${code}` })
    })
  })
  child.send({ file })
  try {
    void end.then(() => output.end())
    const report = await reportFile(file, output, print)
    const { cpuMs, failure } = await end
    return report(failure, performance.now() - startedAt, cpuMs)
  } finally {
    clearTimeout(limit)
  }
}
