/**
 * A PostgreSQL and its standby (streaming replication, `synchronous_commit` on), each on a small disk of its own, which can
 * be full; the run’s keeper unmounts it. After a failover what was the primary is made anew as the standby.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, chownSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres, { type Sql } from 'postgres'
import { freePort, waitFor } from '../support/condition.js'
import type { Ending } from '../support/ending.js'
import type { PrivateRun } from '../support/private-run.js'
import { installationOf, POSTGRES, postgresVersion, serviceUser } from '../support/services.js'
import type { Address } from '../support/tcp-proxy.js'

export interface PostgresPair {
  /** Of what is the primary now. */
  address(): Address
  urlOf(database: string): string
  /** At once, as `kill -9` of the whole server does; what it had acknowledged is on the disk. */
  crash(): Promise<void>
  /** In order, with its connections closed. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Nothing more can be written. */
  fillDisk(): Promise<void>
  /** Space again, and the server is started if it gave up. */
  freeDisk(): Promise<void>
  /** Why its disk cannot be filled here, if it cannot. */
  readonly diskTrouble: string | undefined
  /** The primary crashes, and the standby takes its place. Resolves when it takes writes. */
  failOver(): Promise<void>
  /** Resolves when the standby has everything, and writes wait for it. */
  isWhole(): Promise<void>
}

const run = promisify(execFile)
const LONG = { timeoutMs: 60_000, everyMs: 50 }

export async function startPostgresPair(
  ending: Ending,
  { directory, env, keep }: PrivateRun,
  diskBytes: number,
): Promise<PostgresPair> {
  const installation = await installationOf(POSTGRES)
  const user = serviceUser()
  const clusters = [await clusterOf('one'), await clusterOf('two')] as const
  let [primary, standby] = clusters as readonly [Cluster, Cluster]
  let diskTrouble: string | undefined
  let whole: Promise<void> = Promise.resolve()

  interface Cluster {
    folder: string
    port: number
    server: ChildProcess | undefined
    isMounted: boolean
  }

  async function clusterOf(name: string): Promise<Cluster> {
    const folder = join(directory, `postgres-${name}`)
    mkdirSync(folder)
    const isMounted = await mount(folder)
    if (user) chownSync(folder, user.uid, user.gid)
    return { folder, port: await freePort(), server: undefined, isMounted }
  }

  async function mount(folder: string): Promise<boolean> {
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', folder])
    } catch (error) {
      diskTrouble = `mount is not allowed here (${String((error as { stderr?: string }).stderr ?? error).trim()})`
      return false
    }
    return true
  }

  const dataOf = ({ folder }: Cluster) => join(folder, 'data')
  const urlOf = ({ port }: Cluster, database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`
  const program = (name: string, args: string[], { folder }: Cluster) =>
    run(join(installation, name), args, { ...user, env, cwd: folder })

  async function initialise(cluster: Cluster): Promise<void> {
    const how = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
    await program('initdb', ['-D', dataOf(cluster), ...how], cluster)
    appendFileSync(join(dataOf(cluster), 'pg_hba.conf'), 'host replication postgres 127.0.0.1/32 trust\n')
  }

  async function launch(cluster: Cluster): Promise<void> {
    const settings = {
      listen_addresses: '127.0.0.1',
      port: cluster.port,
      unix_socket_directories: cluster.folder,
      max_connections: 200,
      max_wal_size: '128MB',
      wal_keep_size: '64MB',
      wal_retrieve_retry_interval: '200ms',
      synchronous_commit: 'on',
      // When each event was stored, by one clock.
      track_commit_timestamp: 'on',
    }
    const output = openSync(join(directory, `postgres-${cluster.port}.log`), 'a')
    const server = spawn(
      join(installation, 'postgres'),
      [
        '-D',
        dataOf(cluster),
        ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
      ],
      { ...user, env, cwd: cluster.folder, detached: true, stdio: ['ignore', output, output] },
    )
    server.on('error', () => {})
    server.unref()
    cluster.server = server
    if (server.pid !== undefined) keep(server.pid, 'SIGQUIT')
    await waitFor('PostgreSQL to answer', () => postgresVersion(urlOf(cluster, 'postgres')), LONG).catch(
      (error) => {
        const log = readFileSync(join(directory, `postgres-${cluster.port}.log`), 'utf8')
        throw new Error(`PostgreSQL does not start: ${log.slice(-2000)}`, { cause: error })
      },
    )
  }

  async function end({ server }: Cluster, signal: NodeJS.Signals): Promise<void> {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const exit = once(server, 'exit')
    server.kill(signal)
    await exit
  }

  async function asking<T>(cluster: Cluster, ask: (sql: Sql) => Promise<T>): Promise<T> {
    const sql = postgres(urlOf(cluster, 'postgres'), {
      max: 1,
      connect_timeout: 5,
      fetch_types: false,
      onnotice() {},
    })
    try {
      return await ask(sql)
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  /** Makes a standby of the other one, and has the primary wait for it. */
  async function addStandby(): Promise<void> {
    await end(standby, 'SIGQUIT')
    rmSync(dataOf(standby), { recursive: true, force: true })
    const from = ['-d', urlOf(primary, 'postgres'), '-D', dataOf(standby)]
    await program('pg_basebackup', [...from, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'], standby)
    // It waits for nobody when it is promoted.
    appendFileSync(join(dataOf(standby), 'postgresql.auto.conf'), "synchronous_standby_names = ''\n")
    await launch(standby)
    await asking(primary, async (sql) => {
      await sql`alter system set synchronous_standby_names = '*'`
      await sql`select pg_reload_conf()`
    })
    await isInStep()
  }

  const isInStep = () =>
    waitFor(
      'the standby to be in step',
      () =>
        asking(primary, async (sql) => {
          const rows = await sql`select 1 from pg_stat_replication
            where sync_state in ('sync', 'quorum') and pg_current_wal_flush_lsn() - flush_lsn < 65536`
          return rows.length === 1
        }),
      LONG,
    ).then(() => {})

  const remount = async ({ folder }: Cluster, bytes: number) => {
    await run('mount', ['-o', `remount,size=${bytes}`, folder])
  }

  await initialise(primary)
  await launch(primary)
  await addStandby()
  ending.teardown(() => Promise.all(clusters.map((cluster) => end(cluster, 'SIGQUIT'))))

  return {
    address: () => ({ host: '127.0.0.1', port: primary.port }),
    urlOf: (database) => urlOf(primary, database),
    crash: () => end(primary, 'SIGQUIT'),
    stop: () => end(primary, 'SIGINT'),
    start: () => launch(primary),
    get diskTrouble() {
      return diskTrouble
    },
    async fillDisk() {
      // As large as it is full. What is written meanwhile makes that too small, which is refused.
      await waitFor('the disk to be full', async () => {
        const { blocks, bfree, bsize } = await statfs(primary.folder)
        await remount(primary, (blocks - bfree) * bsize)
        return true
      })
    },
    async freeDisk() {
      await remount(primary, diskBytes)
      const { server } = primary
      if (server?.exitCode !== null || server.signalCode !== null) await launch(primary)
    },
    async failOver() {
      await whole
      await isInStep()
      await end(primary, 'SIGQUIT')
      await asking(standby, (sql) => sql`select pg_promote(true, 30)`)
      ;[primary, standby] = [standby, primary]
      whole = addStandby()
      whole.catch(() => {})
    },
    async isWhole() {
      await whole
      await isInStep()
    },
  }
}
