/**
 * Outlives the test runner by a moment, to end what it leaves behind: tap, the tests, whatever they
 * started, the services and the temporary directory. It works when its standard input closes, which the
 * system does however the runner ends, SIGKILL included, so there is one way of cleaning up and every
 * run takes it.
 *
 * Arguments: the run's directory. Input, in lines: `service PID SIGNAL` for what is to be ended last,
 * with that signal; `done` when the tests have ended by themselves, so that a process found then is
 * reported as a leak.
 *
 * A process belongs to the run when its environment has `TEST_RUN=<directory>` (Linux; elsewhere only the
 * services and tap are known).
 */

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { waitFor } from './condition.js'

const PATIENCE_MS = 5_000

const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: keeper.ts DIRECTORY')

const services = new Map<number, NodeJS.Signals>()
let done = false

for await (const line of createInterface({ input: process.stdin })) {
  const [word, pid, signal] = line.split(' ')
  if (word === 'done') done = true
  if (word === 'service') services.set(Number(pid), signal as NodeJS.Signals)
}

const members = membersOf(directory).filter((pid) => !services.has(pid))
if (done) for (const pid of members) console.error(`left running by a test, ended now: ${commandOf(pid)}`)
await end(members.map((pid) => [pid, 'SIGTERM']))
// A test that was told to end may have started something meanwhile.
await end(membersOf(directory).flatMap((pid) => (services.has(pid) ? [] : [[pid, 'SIGKILL']])))
await end([...services])
for (const folder of mountsIn(directory)) execFileSync('umount', ['--lazy', folder])
await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })

/** Signals each process, and kills those that are still there after a while. */
async function end(processes: readonly [pid: number, signal: NodeJS.Signals][]): Promise<void> {
  for (const [pid, signal] of processes) send(pid, signal)
  const areGone = () => processes.every(([pid]) => !isAlive(pid))
  await waitFor('the processes of the run to end', areGone, { timeoutMs: PATIENCE_MS }).catch(async () => {
    for (const [pid] of processes) send(pid, 'SIGKILL')
    await waitFor('the killed processes to be gone', areGone, { timeoutMs: PATIENCE_MS }).catch(console.error)
  })
}

function membersOf(run: string): number[] {
  const mark = `TEST_RUN=${run}`
  return procEntries().filter((pid) => readProc(pid, 'environ').split('\0').includes(mark) && isAlive(pid))
}

function mountsIn(run: string): string[] {
  const folders = readProc('self', 'mounts')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
  return folders.filter((folder) => folder.startsWith(`${run}/`))
}

function procEntries(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}

function commandOf(pid: number): string {
  return `${pid} ${readProc(pid, 'cmdline').replaceAll('\0', ' ').trim()}`
}

function readProc(pid: number | 'self', file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

/** A zombie, which waits only for its parent to take note, is not alive. */
function isAlive(pid: number): boolean {
  return send(pid, 0) && !/^\d+ \(.*\) Z /s.test(readProc(pid, 'stat'))
}
