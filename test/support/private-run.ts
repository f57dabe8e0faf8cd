/**
 * A folder, and a keeper that ends everything which a run started (see keeper.ts), however the run ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, statfs } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { compiledFile } from './compile.js'

export interface PrivateRun {
  /** For its files; gone afterwards. */
  directory: string
  /** For its processes, by which the keeper knows them. */
  env: NodeJS.ProcessEnv
  /** Aborted by Ctrl-C and its like; the process ends by itself then. */
  interrupted: AbortSignal
  /** Has a service ended after everything else, with this signal. */
  keep(pid: number, signal: NodeJS.Signals): void
  /** Ends what is left. `isOrderly` reports processes that are found then as leaks. */
  end(isOrderly: boolean): Promise<void>
}

/** Needs the compiled keeper: `compile()` first. */
export async function beginRun(): Promise<PrivateRun> {
  const directory = await realpath(await mkdtemp(join(await temporaryFolder(), 'chaptercast-')))
  const keeper = spawn(process.execPath, [compiledFile('test/support/keeper.ts'), directory], {
    detached: true,
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  // Written to after its end: the run was interrupted, and the keeper knows all it needs.
  keeper.stdin.on('error', () => {})
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, async () => {
      interruption.abort()
      await ended(keeper)
      process.exit(128 + constants.signals[signal])
    })
  return {
    directory,
    env: { ...process.env, TEST_RUN: directory },
    interrupted: interruption.signal,
    keep: (pid, signal) => keeper.stdin.write(`service ${pid} ${signal}\n`),
    async end(isOrderly) {
      if (isOrderly) keeper.stdin.write('done\n')
      keeper.stdin.end()
      await ended(keeper)
    },
  }
}

/** Its input closes when this process ends or closes it; it ends when nothing of the run is left. */
async function ended(keeper: ChildProcess): Promise<void> {
  keeper.stdin?.end()
  if (keeper.exitCode === null && keeper.signalCode === null) await once(keeper, 'exit')
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
