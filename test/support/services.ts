/**
 * What the tests need besides Node: each service is used from its environment variable, or started for
 * this run alone, on a free port and in the run's directory. A service is one entry of `SERVICES`.
 */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { findInstallation } from './binaries.js'
import { freePort, waitFor } from './condition.js'
import { canInstallPackages, installPackages } from './debian.js'
import { KAFKA } from './kafka-broker.js'
import { REDIS } from './redis.js'

export interface Service {
  name: string
  /** Where tests find its URL; set by hand, nothing is started. */
  envVar: string
  exampleUrl: string
  /** Whether what was set by hand can be one; a URL unless said otherwise. */
  accepts?(given: string): boolean
  /** Programs that must come from one installation. */
  binaries: readonly string[]
  /** Folders to look in after the PATH, best first. */
  folders(): string[]
  debianPackage: string
  /** Starts it and returns its URL, when it answers. */
  start(run: ServiceRun): Promise<string>
  /** Asks the service behind `url`, which proves that it answers. */
  version(url: string): Promise<string>
}

export interface ServiceRun {
  /** Folder of the service's programs. */
  installation: string
  /** A folder of its own, which belongs to `user`. */
  directory: string
  /** Whom to run as, for programs that refuse root. */
  user: { uid: number; gid: number } | undefined
  /** For its processes, so that they are known to belong to this run. */
  env: NodeJS.ProcessEnv
  /** To be told of every process started, and the signal that ends it quickly. */
  keep(pid: number, signal: NodeJS.Signals): void
}

export const POSTGRES: Service = {
  name: 'PostgreSQL',
  envVar: 'DATABASE_URL',
  exampleUrl: 'postgres://user:password@localhost:5432/postgres',
  binaries: ['postgres', 'initdb'],
  folders: debianPostgresFolders,
  debianPackage: 'postgresql',
  start: startPostgres,
  version: postgresVersion,
}

export const SERVICES: readonly Service[] = [POSTGRES, REDIS, KAFKA]

/** Makes `service` available and returns its URL and a line that says what it is. */
export async function provide(
  service: Service,
  run: Pick<ServiceRun, 'env' | 'keep'> & { directory: string },
): Promise<{ url: string; summary: string }> {
  const given = process.env[service.envVar]
  if (given && !(service.accepts ?? URL.canParse)(given)) {
    throw new Error(`${service.envVar} is not a URL such as ${service.exampleUrl}`)
  }
  const url = given || (await startPrivate(service, run))
  const version = await service.version(url).catch((error) => {
    throw new Error(`${service.name} does not answer at ${withoutPassword(url)}: ${messageOf(error)}`, {
      cause: error,
    })
  })
  const origin = given ? `from ${service.envVar}` : 'private'
  return { url, summary: `${service.name} ${version} at ${withoutPassword(url)} (${origin})` }
}

async function startPrivate(
  service: Service,
  run: Pick<ServiceRun, 'env' | 'keep'> & { directory: string },
): Promise<string> {
  const installation = await installationOf(service)
  const user = serviceUser()
  const directory = join(run.directory, service.envVar.toLowerCase())
  mkdirSync(directory)
  if (user) {
    chmodSync(run.directory, 0o711)
    chownSync(directory, user.uid, user.gid)
  }
  return service.start({ ...run, directory, installation, user })
}

/** The folder of its programs, which are installed first where that is allowed. */
export async function installationOf(service: Service): Promise<string> {
  const find = () => findInstallation(service.binaries, service.folders())
  let installation = find()
  if (installation === undefined && canInstallPackages()) {
    await installPackages(service.debianPackage)
    installation = find()
  }
  if (installation !== undefined) return installation
  throw new Error(
    `${service.name} is needed: no ${service.binaries.join(' and ')} on the PATH. ` +
      `Run \`apt-get install ${service.debianPackage}\` (TEST_INSTALL=1 does that), or set ${service.envVar}, ` +
      `for example ${service.envVar}=${service.exampleUrl}`,
  )
}

/** Whom services run as; undefined: as this process does. */
export function serviceUser(): ServiceRun['user'] {
  return process.getuid?.() === 0 ? unprivilegedUser() : undefined
}

/**
 * A new cluster that trusts everybody on 127.0.0.1 and survives no crash: its data live as long as the
 * run. Tried again on another port when somebody else was quicker.
 */
async function startPostgres(run: ServiceRun): Promise<string> {
  const { directory, installation, user, env, keep } = run
  const data = join(directory, 'data')
  const log = join(directory, 'log')
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
  await promisify(execFile)(join(installation, 'initdb'), initdb, { ...user, env, cwd: directory })
  for (let tries = 1; ; tries += 1) {
    const port = await freePort()
    const settings = {
      listen_addresses: '127.0.0.1',
      port,
      unix_socket_directories: directory,
      max_connections: 200,
      max_wal_size: '128MB',
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
    }
    const output = openSync(log, 'w')
    const server = spawn(
      join(installation, 'postgres'),
      ['-D', data, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
      // A group of its own: Ctrl-C is for the runner, which lets the tests end first.
      { ...user, env, cwd: directory, detached: true, stdio: ['ignore', output, output] },
    )
    if (server.pid !== undefined) keep(server.pid, 'SIGQUIT')
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`
    const ended = new AbortController()
    server.on('error', (error) => ended.abort(error))
    server.on('exit', (code) => ended.abort(new Error(`postgres ended with code ${code}`)))
    try {
      await waitFor('PostgreSQL to answer', () => postgresVersion(url), {
        timeoutMs: 30_000,
        everyMs: 30,
        signal: ended.signal,
      })
      server.unref()
      return url
    } catch (error) {
      const said = readFileSync(log, 'utf8')
      if (server.exitCode === null && server.kill('SIGQUIT')) await once(server, 'exit')
      if (tries < 3 && said.includes('could not bind')) continue
      throw new Error(`${messageOf(error)}. Its log:\n${said.slice(-3000)}`, { cause: error })
    }
  }
}

export async function postgresVersion(url: string): Promise<string> {
  const sql = postgres(url, { max: 1, connect_timeout: 10, fetch_types: false, onnotice: () => {} })
  try {
    const [row] = await sql<{ server_version: string }[]>`SHOW server_version`
    return row?.server_version ?? 'of unknown version'
  } finally {
    await sql.end({ timeout: 1 })
  }
}

function debianPostgresFolders(): string[] {
  const parent = '/usr/lib/postgresql'
  try {
    const newestFirst = readdirSync(parent).sort((a, b) => Number(b) - Number(a))
    return newestFirst.map((version) => join(parent, version, 'bin'))
  } catch {
    return []
  }
}

function unprivilegedUser(): { uid: number; gid: number } {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const [, , uid, gid] =
    users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody') ?? []
  if (uid === undefined || gid === undefined) {
    throw new Error('services must not run as root, and there is no user postgres or nobody')
  }
  return { uid: Number(uid), gid: Number(gid) }
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return url
  const shown = new URL(url)
  if (shown.password) shown.password = '***'
  return shown.href
}

function messageOf(error: unknown): string {
  // A refused connection to a name with two addresses is an AggregateError without a message.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
