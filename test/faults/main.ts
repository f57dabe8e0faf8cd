/**
 * `npm run faults [-- options]`: a system under load to which faults happen by seed, and the account of what it kept of its
 * promises. docs/reliability.md explains it.
 *
 * It starts its own services, and takes only a Kafka from the environment (`KAFKA_BROKERS`). Linux: it stops processes
 * and mounts small disks.
 */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { compile } from '../support/compile.js'
import { freePort } from '../support/condition.js'
import { createEnding, type Ending } from '../support/ending.js'
import { beginRun, type PrivateRun } from '../support/private-run.js'
import { ownRedis } from '../support/redis.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { query } from '../support/watch.js'
import { startBroker } from './broker.js'
import { createClients } from './clients.js'
import { runSchedule } from './happenings.js'
import { createHttp } from './http.js'
import { consumeJobs, serveJobs } from './jobs-in.js'
import { judge } from './judge.js'
import { latenessByFault, quantiles } from './lateness.js'
import { createLedger, type Ledger } from './ledger.js'
import { createNodes, type FaultyNode } from './nodes.js'
import { HELP, type Options, readOptions } from './options.js'
import { startPostgresPair } from './postgres-pair.js'
import { createFindings, PROMISES, type Promised } from './promises.js'
import { watchRepairs } from './repairs.js'
import { scheduleOf } from './schedule.js'
import { settleChapters } from './settle.js'
import { latenessTable, promisesTable } from './table.js'
import { createWatchers } from './watchers.js'
import { createWorker } from './worker.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DATABASE = 'faults'
const WINDOW = 800
const MIB = 1024 ** 2
/** So much later a node may still count what was lost in a fault. */
const REPAIRED_MS = 10_000
/** Faults in which an event may come up to 5 s later. */
const WITHOUT_REDIS = ['redis-frozen', 'redis-killed', 'redis-out-of-memory', 'cut-redis'] as const

const options = readOptions(process.argv.slice(2))
if ('help' in options) console.log(HELP)
else if ('problem' in options) {
  console.error(`${options.problem} (npm run faults -- --help)`)
  process.exitCode = 1
} else {
  process.exitCode = await main(options)
  // What still waits for a node that is gone must not hold the end up.
  process.exit()
}

async function main(options: Options): Promise<number> {
  if (process.platform !== 'linux') throw new Error('the fault report runs on Linux only')
  await compile()
  const run = await beginRun()
  // Services run as another user.
  chmodSync(run.directory, 0o711)
  const ending = createEnding()
  const logs = mkdtempSync(join(tmpdir(), 'chaptercast-faults-'))
  let isWell = false
  try {
    isWell = await report(options, run, ending, logs)
    return isWell ? 0 : 1
  } catch (error) {
    console.error(error)
    return 1
  } finally {
    await ending.end()
    await run.end(isWell)
    if (isWell && !options.keep) rmSync(logs, { recursive: true, force: true })
    else console.log(`\nThe logs of the nodes: ${logs}`)
  }
}

async function report(options: Options, run: PrivateRun, ending: Ending, logs: string): Promise<boolean> {
  const { seed, chapters: wanted, rate, kinds, dispatch } = options
  const startedAt = performance.now()
  const findings = createFindings()
  const project = await projectOf(options, ending)

  const postgres = await startPostgresPair(ending, run, 400 * MIB + wanted * 24 * 1024)
  await query(postgres.urlOf('postgres'), `create database ${DATABASE}`)
  const redis = await ownRedis(ending, await freePort())
  const broker = await startBroker(ending, run)
  const ledger = createLedger(seed)
  const http = createHttp(findings)
  ending.teardown(() => http.close())
  const notices = await noticeReceiver(ending, ledger)

  const nodes: FaultyNode[] = []
  const isOfEarlierRelease = options.from !== undefined
  const worker = createWorker({
    nodes,
    ask: http.ask,
    ledger,
    findings,
    attemptTimeoutMs: options.attemptTimeoutMs,
    isOfEarlierRelease,
  })
  ending.teardown(() => worker.close())
  const prefix = `faults-${randomBytes(4).toString('hex')}-`
  const jobsPort = dispatch === 'http' ? await serveJobs(ending, worker, nodes, findings) : 0
  const created = await createNodes(
    ending,
    run,
    {
      count: options.nodes,
      project: project.first,
      ways: {
        postgres: () => postgres.address(),
        redis: () => ({ host: '127.0.0.1', port: redis.port }),
        kafka: () => broker.address(),
      },
      settings: {
        GENERATOR: 'off',
        LOG_LEVEL: 'info',
        REDIS_PREFIX: prefix,
        KAFKA_TOPIC_PREFIX: prefix,
        KAFKA_PARTITIONS: '3',
        DISPATCH: dispatch,
        ...(dispatch === 'http'
          ? { DISPATCH_URL: `http://127.0.0.1:${jobsPort}/{kind}`, DISPATCH_CONCURRENCY: '300' }
          : {}),
        DATABASE_STATEMENT_TIMEOUT_MS: '2000',
        GENERATION_TIMEOUT_MS: String(options.attemptTimeoutMs),
        GENERATION_HEARTBEAT_MS: '5000',
        GENERATION_RETRY_BASE_MS: '200',
        GENERATION_RETRY_MAX_MS: '1000',
        GENERATION_WINDOW: String(WINDOW),
        // Never reached; so they ask Redis.
        RATE_LIMIT_CREATE_PER_MINUTE: '1000000',
        RATE_LIMIT_JOIN_PER_MINUTE: '1000000',
        MAX_ROOMS_PER_SOCKET: '2000',
        NOTIFY_URL: `http://127.0.0.1:${notices.port}/`,
      },
      knownPorts: [notices.port, jobsPort],
      databaseName: DATABASE,
      logs,
    },
    findings,
  )
  nodes.push(...created)
  const [first, ...others] = nodes as [FaultyNode, ...FaultyNode[]]
  // The first one makes the tables.
  await first.start()
  await Promise.all(others.map((node) => node.start()))
  const consumer =
    dispatch === 'kafka' ? consumeJobs(ending, prefix, () => broker.address(), worker) : { renew() {} }

  let turn = 0
  const balancer = await tcpProxy(
    ending,
    () => {
      const serving = nodes.filter(({ isServing }) => isServing)
      turn += 1
      const node = serving[turn % serving.length]
      return node && { host: '127.0.0.1', port: Number(new URL(node.url).port) }
    },
    { port: await freePort() },
  )
  const balancerUrl = `http://127.0.0.1:${balancer.port}`
  const watchers = createWatchers({ nodes, balancerUrl, count: options.watchers, ledger, findings })
  ending.teardown(() => watchers.close())
  const clients = createClients({
    nodes,
    ask: http.ask,
    ledger,
    onCreated: watchers.watch,
    isOfEarlierRelease,
  })
  const databaseUrl = () => postgres.urlOf(DATABASE)
  const settling = settleChapters({
    databaseUrl,
    ledger,
    watchers,
    clients,
    worker,
    findings,
    window: WINDOW,
  })

  const durationMs = (wanted / rate) * 1000
  const schedule = scheduleOf({
    seed,
    durationMs,
    nodes: nodes.length,
    kinds,
    first: options.from === undefined || !kinds.includes('rolling-update') ? undefined : 'rolling-update',
  })
  console.log(
    `seed ${seed}: ${wanted} chapters in ${Math.round(durationMs / 1000)} s on ${nodes.length} nodes, ${broker.summary}`,
  )
  let isTimeUp = false
  const scene = { nodes, postgres, redis, broker, renewWorker: consumer.renew, project: project.later }
  const happenings = runSchedule(schedule, scene, findings, { isTimeUp: () => isTimeUp, say: console.log })
  // Without its faults the run would show nothing.
  const failed = new AbortController()
  happenings.done.catch((error: unknown) => failed.abort(error))

  const repairs = watchRepairs(nodes, () => happenings.losesMessages(REPAIRED_MS), findings)

  const creating: Promise<number>[] = []
  const from = Date.now()
  for (let made = 0, n = 0; made < wanted; n += 1) {
    run.interrupted.throwIfAborted()
    failed.signal.throwIfAborted()
    const creation = clients.create(n)
    creating.push(creation)
    made += ledger.requests.get(n) ?? 1
    await delay(Math.max(0, from + (made / rate) * 1000 - Date.now()))
  }
  isTimeUp = true
  await Promise.all([...creating, happenings.done])
  console.log('the last fault is over; waiting for the rest')
  await drained(options, () => [settling.open(), watchers.watchings.size, notices.owed(ledger)])
  await Promise.all([settling.stop(), repairs.stop()])

  const judged = await judge({
    databaseUrl: databaseUrl(),
    ledger,
    watchers,
    findings,
    notices: notices.received,
  })
  const lateness = latenessByFault(happenings.happened, settling.deliveries)
  const [, , worstMs] = quantiles(lateness.get('no fault')?.during ?? []) ?? [0, 0, 0]
  for (const kind of WITHOUT_REDIS)
    for (const lateMs of lateness.get(kind)?.during ?? [])
      if (lateMs > 5000 + worstMs) findings.found('lateWithoutRedis', `${kind}: ${Math.round(lateMs)} ms`)
  const isWell = Object.values(findings.counts).every((count) => count === 0)
  const rows = kinds.map((kind) => {
    const happened = happenings.happened.filter((fault) => fault.kind === kind)
    const wellAfterMs = happened.flatMap((fault) => fault.wellAfterMs ?? [])
    return { kind, times: happened.length, wellAfterMs, skipped: happenings.skipped.get(kind) }
  })
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
  console.log(`
seed ${seed}; ${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}; ${seconds} s
${judged.chapters} chapters ${JSON.stringify(judged.byStatus)}, ${judged.events} events, ${settling.deliveries.length} live deliveries
worker ${JSON.stringify(worker.done)}
answers ${JSON.stringify(Object.fromEntries(http.statuses))}; 0 is none

${promisesTable(findings.counts)}

${latenessTable(rows, lateness)}`)
  for (const [promise, samples] of findings.samples)
    console.log(
      `\n${PROMISES[promise as Promised][1]}:\n${samples.map((sample) => `  ${sample}`).join('\n')}`,
    )
  console.log(
    isWell
      ? '\nEverything is as promised.'
      : `\nNot everything is as promised: --seed ${seed} gives the same schedule.`,
  )
  return isWell
}

/** Attempts may have to time out, and be made again. */
async function drained(
  { attemptTimeoutMs }: Options,
  left: () => [chapters: number, watchers: number, notices: number],
): Promise<void> {
  const until = Date.now() + 4 * attemptTimeoutMs + 60_000
  for (let turn = 1; Date.now() < until; turn += 1) {
    const [chapters, watchers, notices] = left()
    if (chapters + watchers + notices === 0) return
    if (turn % 40 === 0) console.log(`left: ${chapters} chapters, ${watchers} watchers, ${notices} notices`)
    await delay(250)
  }
}

/** What nodes run at first and after an update. */
async function projectOf(options: Options, ending: Ending): Promise<{ first: string; later: string }> {
  let later = ROOT
  if (options.break !== undefined) {
    const { brokenCopy } = await import('../support/deliberate-faults.js')
    later = await brokenCopy(options.break)
    const folder = later
    ending.teardown(() => rmSync(folder, { recursive: true, force: true }))
  }
  if (options.from === undefined) return { first: later, later }
  const first = mkdtempSync(join(tmpdir(), 'chaptercast-before-'))
  const sh = promisify(execFile)
  ending.teardown(async () => {
    await sh('git', ['worktree', 'remove', '--force', first], { cwd: ROOT })
  })
  console.log(`building ${options.from}`)
  await sh('git', ['worktree', 'add', '--detach', first, options.from], { cwd: ROOT })
  await sh('npm', ['ci'], { cwd: first })
  await sh('npm', ['run', 'build'], { cwd: first })
  return { first, later }
}

/** Who is told of ended runs; it is not always well. */
async function noticeReceiver(ending: Ending, ledger: Ledger) {
  const received = new Set<string>()
  const tries = new Map<string, number>()
  const server = createServer((request, response) => {
    const id = String(request.headers['webhook-id'])
    request.resume()
    const random = ledger.chanceOf('notice', id)
    const tried = (tries.get(id) ?? 0) + 1
    tries.set(id, tried)
    if (tried === 1 && random.chance(0.03)) return void response.writeHead(500).end()
    received.add(id)
    response.writeHead(204).end()
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  ending.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const ENDS = ['all_completed', 'chapter_failed', 'chapter_cancelled']
  return {
    port,
    received,
    /** Ends in settled logs that were not told of yet. */
    owed({ chapters }: Ledger): number {
      let owed = 0
      for (const { id, settled } of chapters.values())
        for (const [seq, name] of settled?.names.entries() ?? [])
          if (ENDS.includes(name) && !received.has(`${id}-${seq}`)) owed += 1
      return owed
    },
  }
}
