/**
 * What processes have cost so far, read from /proc (Linux): CPU time of all their threads, to the microsecond, and
 * resident memory. A sampling profiler would count waiting inside a system call as the caller's time.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** The unit of `/proc/PID/stat`, on every Linux that Node runs on. */
const TICK_MS = 10

/** CPU time of these processes so far, ms. One that has ended counts as 0: take both readings while all live. */
export function cpuMsOf(pids: readonly number[]): number {
  return sum(pids.map((pid) => sum(threadsOf(pid).map((thread) => threadMs(pid, thread)))))
}

/**
 * CPU time so far of these processes and of their children, ms: PostgreSQL has one for each connection. Children that
 * have ended are counted too, through their parent.
 */
export function cpuMsOfFamilies(pids: readonly number[]): number {
  const children = pids.length === 0 ? [] : processes().filter((pid) => pids.includes(parentOf(pid)))
  return cpuMsOf([...pids, ...children]) + sum(pids.map(endedChildrenMs))
}

export function memoryKibOf(pids: readonly number[]): number {
  return sum(pids.map((pid) => Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)))
}

function threadMs(pid: number, thread: string): number {
  const [nanoseconds = '0'] = read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')
  return Number(nanoseconds) / 1e6
}

function endedChildrenMs(pid: number): number {
  const fields = statOf(pid)
  return (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) * TICK_MS
}

function parentOf(pid: number): number {
  return Number(statOf(pid)[1] ?? 0)
}

/** The fields of `/proc/PID/stat` from the third on: what stands before may have spaces. */
function statOf(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`)
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

function processes(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger)
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
