/**
 * The server as a user runs it: a process of its own, in a folder of its own, with nothing set but what a test sets.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freePort, waitFor } from './condition.js'
import { copyEmbeddedDatabase } from './embedded.js'

const SERVER = fileURLToPath(new URL('../../dist/server.js', import.meta.url))

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface ServerProcess {
  url: string
  child: ChildProcess
  /** Whatever it wrote so far, to either stream. */
  output(): string
  ended: Promise<Ended>
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<Ended>
}

/** A folder that is gone after the test: where processes run, and keep `.data`. */
export async function workFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'chaptercast-process-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** The same with an embedded database in it, so that a server starts at once. */
export async function workFolderWithData(t: Test): Promise<string> {
  const folder = await workFolder(t)
  await copyEmbeddedDatabase(join(folder, '.data'))
  return folder
}

/** Begins a server and does not wait for anything; killed at the end of the test. */
export async function spawnServer(
  t: Test,
  folder: string,
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const port = env.PORT ?? String(await freePort())
  const child = spawn(process.execPath, [SERVER], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      TEST_RUN: process.env.TEST_RUN,
      HOST: '127.0.0.1',
      GENERATOR_DELAY_MS: '0',
      ...env,
      PORT: port,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  // `close` comes when its output was read as well.
  const ended = new Promise<Ended>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  )
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return ended
  }
  t.teardown(() => end('SIGKILL'))
  return { url: `http://127.0.0.1:${port}`, child, output: () => output, ended, end }
}

/** A server that answers. */
export async function startServer(
  t: Test,
  folder: string,
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const server = await spawnServer(t, folder, env)
  const died = new AbortController()
  void server.ended.then(({ code }) =>
    died.abort(new Error(`the server ended with code ${code}:\n${server.output()}`)),
  )
  const isReady = async () => (await fetch(`${server.url}/readyz`)).ok
  // A first start makes a database, which takes a busy machine a minute.
  await waitFor('the server is ready', isReady, { timeoutMs: 150_000, signal: died.signal })
  return server
}
