/**
 * Runs compiled test files, each in a process of its own, several at a time, and reports each as it ends. A file is
 * a program that writes TAP and keeps its own time: a test that takes longer than `TAP_TIMEOUT` fails by itself.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { compiledFile } from './compile.js'
import { reportFile, type Tally } from './report.js'

/** A file that is still running then does not even end itself any more. */
const LIMIT_MS = 300_000

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
  const waiting = [...files]
  const total: Tally = { passed: 0, failed: 0, skipped: 0 }
  const lanes = Array.from({ length: options.jobs }, async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      if (options.signal.aborted) return
      const tally = await runFile(file, options)
      total.passed += tally.passed
      total.failed += tally.failed
      total.skipped += tally.skipped
    }
  })
  await Promise.all(lanes)
  return total
}

async function runFile(file: string, { env, signal, print }: RunOptions): Promise<Tally> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, ['--enable-source-maps', compiledFile(file)], {
    env,
    // A group of its own: Ctrl-C is for the runner alone, which has the rest ended in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const end = () => child.kill('SIGTERM')
  signal.addEventListener('abort', end)
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const ended = once(child, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals | null]>
  try {
    const report = await reportFile(file, child.stdout, print)
    const [code, endedBy] = await ended
    const failure = endedBy ? `it was ended by ${endedBy}` : code ? `it ended with code ${code}` : undefined
    return report(failure, performance.now() - startedAt)
  } finally {
    clearTimeout(limit)
    signal.removeEventListener('abort', end)
  }
}
