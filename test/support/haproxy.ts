/**
 * The load balancer of deploy/, run as it is, in front of a test’s three nodes.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { findBinary } from './binaries.js'
import { freePort, waitFor } from './condition.js'
import { canInstallPackages, installPackages } from './debian.js'

export interface Haproxy {
  readonly url: string
  /** Answers to clients since it started, by the first digit of their status. */
  answers(): Promise<Record<'1xx' | '2xx' | '3xx' | '4xx' | '5xx', number>>
  /** Whether a node at this port gets new requests, and new sockets. */
  isUp(port: number): Promise<boolean>
}

export const CONFIG = fileURLToPath(new URL('../../deploy/haproxy/haproxy.cfg', import.meta.url))

/** Debian’s program, installed where that is allowed; `undefined` when there is none. */
export async function findHaproxy(): Promise<string | undefined> {
  const find = () => findBinary(['haproxy']) ?? findBinary(['haproxy'], ['/usr/sbin', '/usr/local/sbin'])
  const found = find()
  if (found !== undefined || !canInstallPackages()) return found
  await installPackages('haproxy').catch((error: Error) => console.error(error.message))
  return find()
}

/**
 * Resolves when it sends requests to every node.
 * @param edit changes the configuration, such as a timeout that a test cannot wait for
 */
export async function startHaproxy(
  t: Test,
  program: string,
  ports: readonly number[],
  edit: (config: string) => string = (config) => config,
): Promise<Haproxy> {
  const port = await freePort()
  // Its path must be short.
  const directory = mkdtempSync(join(tmpdir(), 'hap-'))
  const statsSocket = join(directory, 's')
  const config = join(directory, 'haproxy.cfg')
  writeFileSync(config, edit(readFileSync(CONFIG, 'utf8')))
  const statsConfig = join(directory, 'stats.cfg')
  writeFileSync(statsConfig, `global\n  stats socket ${statsSocket} mode 600 level user\n`)

  const nodes = Object.fromEntries(ports.map((port, index) => [`NODE_${index + 1}`, `127.0.0.1:${port}`]))
  const child = spawn(program, ['-db', '-f', config, '-f', statsConfig], {
    env: { ...process.env, BIND: `127.0.0.1:${port}`, ...nodes },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const output of [child.stdout, child.stderr])
    output.setEncoding('utf8').on('data', (said: string) => {
      log += said
    })
  const ended = new AbortController()
  child.once('exit', (code) => ended.abort(new Error(`haproxy ended with code ${code}:\n${log}`)))
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(directory, { recursive: true, force: true })
    if (!t.passing()) console.error(`what HAProxy said:\n${log.slice(-4000)}`)
  })

  async function rows(): Promise<Record<string, string>[]> {
    const socket = connect(statsSocket)
    socket.end('show stat\n')
    const [header = '', ...lines] = (await text(socket)).replace(/^# /, '').trim().split('\n')
    const names = header.split(',')
    return lines.map((line) => {
      const values = line.split(',')
      return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))
    })
  }
  async function isUp(port: number): Promise<boolean> {
    const name = `node${ports.indexOf(port) + 1}`
    const servers = (await rows()).filter(({ pxname, svname }) => svname === name && pxname !== 'session')
    return servers.length === 2 && servers.every(({ status }) => status === 'UP')
  }
  await waitFor(
    'HAProxy sends to every node',
    async () => (await Promise.all(ports.map(isUp))).every(Boolean),
    { timeoutMs: 20_000, everyMs: 50, signal: ended.signal },
  )

  return {
    url: `http://127.0.0.1:${port}`,
    async answers() {
      const row = (await rows()).find(({ svname }) => svname === 'FRONTEND')
      const count = (digit: number) => Number(row?.[`hrsp_${digit}xx`] ?? Number.NaN)
      return { '1xx': count(1), '2xx': count(2), '3xx': count(3), '4xx': count(4), '5xx': count(5) }
    },
    isUp,
  }
}
