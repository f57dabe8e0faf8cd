/**
 * One process per data directory. Each process that wants it writes a claim, a file named for itself, and then
 * looks at the claims of others: a living one makes it give up, a dead one is removed. Since every claim is
 * written before any is read, two processes can never both have the directory, and nothing is ever taken from
 * a living process. (Two that start together may both give up; each tries again a few times.)
 *
 * A process is identified by its pid and start time, because pids are used again (every container has a pid 1). A
 * claim from another host cannot be checked and is respected.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { DataDirLockedError } from '../errors.js'

const PREFIX = 'lock-'
const TRIES = 6

interface Claim {
  pid: number
  startedAt: string
  host: string
}

/**
 * @returns releases the directory; may be called more than once
 * @throws {DataDirLockedError} when another process has it
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const name = `${PREFIX}${process.pid}-${randomUUID()}.json`
  const path = join(dataDir, name)
  const startedAt = await startTimeOf(process.pid)
  const claim: Claim = {
    pid: process.pid,
    startedAt: startedAt ?? 'unknown',
    host: hostname(),
  }
  for (let attempt = 1; ; attempt++) {
    await writeWhole(path, JSON.stringify(claim))
    let holder: Awaited<ReturnType<typeof otherLivingClaim>>
    try {
      holder = await otherLivingClaim(dataDir, name)
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
    if (holder === undefined) return () => rm(path, { force: true })
    await rm(path, { force: true })
    if (attempt === TRIES) throw new DataDirLockedError(describe(dataDir, holder))
    await delay(50 + Math.random() * 200)
  }
}

/** A claim must appear whole or not at all: half a claim would look like a dead one. */
async function writeWhole(path: string, text: string): Promise<void> {
  const unfinished = `${path}.new`
  await writeFile(unfinished, text)
  await rename(unfinished, path)
}

async function otherLivingClaim(
  dataDir: string,
  own: string,
): Promise<(Claim & { file: string }) | undefined> {
  for (const file of await readdir(dataDir)) {
    if (!file.startsWith(PREFIX) || !file.endsWith('.json') || file === own) continue
    const path = join(dataDir, file)
    const claim = await readClaim(path)
    if (claim === undefined) continue
    if (claim.host !== hostname() || (await isAlive(claim))) return { ...claim, file: path }
    await rm(path, { force: true })
  }
  return undefined
}

async function readClaim(path: string): Promise<Claim | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Claim
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    // A power failure can leave an empty file. Its owner is then unknown.
    if (error instanceof SyntaxError)
      throw new DataDirLockedError(
        `${path} cannot be read, so it is unknown whether a process has this data directory. ` +
          'If you are certain that none has, delete that file.',
        { cause: error },
      )
    throw error
  }
}

async function isAlive({ pid, startedAt }: Claim): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const started = await startTimeOf(pid)
  return started === undefined || startedAt === 'unknown' || started === startedAt
}

/** When a process began, in the form that this system gives; undefined if it gives none. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    // Field 22 of /proc/PID/stat, in ticks since this boot; the name in field 2 may hold spaces.
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ])
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return `${boot.trim()} ${ticks}`
  } catch {
    return startTimeFromPs(pid)
  }
}

async function startTimeFromPs(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)])
    return stdout.trim() || undefined
  } catch {
    return undefined
  }
}

function describe(dataDir: string, { pid, host, file }: Claim & { file: string }): string {
  const where = host === hostname() ? `process ${pid}` : `process ${pid} on host ${host}`
  return (
    `The data directory ${dataDir} is in use by ${where}; two processes would destroy each other’s data. ` +
    `Stop that one, or set DATA_DIR to another directory. (If you are certain that it is gone, delete ${file}.)`
  )
}
