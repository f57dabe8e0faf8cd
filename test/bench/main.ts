/**
 * `npm run bench [-- options]`: what a create, a webhook, a delivered event and an idle socket cost, on one node and
 * on several, beside the floor (see floor.ts). Prints one table; docs/performance.md explains it.
 *
 * It starts PostgreSQL, Redis and a Kafka broker as `npm test` does, or uses those of `DATABASE_URL`, `REDIS_URL` and
 * `KAFKA_BROKERS`. Linux only: CPU is read from /proc.
 */
import { mkdtempSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compile } from '../support/compile.js'
import { beginRun, type PrivateRun } from '../support/private-run.js'
import { provide, SERVICES } from '../support/services.js'
import { measure, type Plan } from './measure.js'
import { PROGRAMS, type Program, type Services, startSystem } from './system.js'
import { type Result, tableOf } from './table.js'

const HELP = `npm run bench [-- options]

  --nodes 1,2,4      numbers of nodes (default 1,2,4)
  --programs a,b     of ${PROGRAMS.join(', ')} (default all;
                     without Kafka only on one node)
  --chapters 500     chapters that are measured (default 500)
  --warm 1500        chapters before that; with few, much of what is measured is the compiler (default 1500)
  --watchers 600     sockets that watch the measured chapters (default 600)
  --sockets 2000     sockets that join afterwards and stay idle (default 2000)
  --no-idle          leave out what idle sockets cost, 26 s for the least and the greatest number of nodes
  --profile          leave a .cpuprofile of every node (but the killed one) in a folder, named at the end
  --help             this text`

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1,2,4' },
    programs: { type: 'string', default: PROGRAMS.join(',') },
    chapters: { type: 'string', default: '500' },
    warm: { type: 'string', default: '1500' },
    watchers: { type: 'string', default: '600' },
    sockets: { type: 'string', default: '2000' },
    'no-idle': { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

/** One ping of Engine.IO to each socket, and a little. */
const IDLE_MS = 26_000

if (values.help) console.log(HELP)
else await bench()

async function bench(): Promise<void> {
  if (process.platform !== 'linux') throw new Error('CPU is read from /proc: the bench runs on Linux only')
  const counts = values.nodes.split(',').map((text) => positive('--nodes', text))
  const programs = values.programs.split(',').map(programOf)
  const plan: Plan = {
    warm: positive('--warm', values.warm),
    chapters: positive('--chapters', values.chapters),
    watchers: positive('--watchers', values.watchers),
    sockets: positive('--sockets', values.sockets),
    idleMs: 0,
  }
  const profiles = values.profile ? mkdtempSync(join(tmpdir(), 'chaptercast-profiles-')) : undefined
  await compile()
  const startedAt = performance.now()
  const run = await beginRun()
  try {
    const services = await startServices(run, profiles)
    const results: Result[] = []
    for (const nodes of counts)
      for (const program of programs) {
        if (program === 'chaptercast without Kafka' && nodes > 1) continue
        const isIdleMeasured =
          !values['no-idle'] && program !== 'chaptercast without Kafka' && isEnd(nodes, counts)
        const systemStartedAt = performance.now()
        const system = await startSystem(program, nodes, services)
        const figures = await measure(system, services.pids, {
          ...plan,
          idleMs: isIdleMeasured ? IDLE_MS : 0,
        })
        await system.stop()
        results.push({ program, nodes, figures })
        console.log(`${program}, ${nodes} nodes: ${secondsSince(systemStartedAt)} s`)
      }
    console.log(`\n${machine()}; ${secondsSince(startedAt)} s\n\n${tableOf(results)}`)
    if (profiles !== undefined) console.log(`\nCPU profiles: ${profiles}`)
    await run.end(true)
  } catch (error) {
    console.error(error)
    process.exitCode = 1
    await run.end(false)
  }
}

async function startServices(run: PrivateRun, profiles: string | undefined): Promise<Services> {
  const pids: number[] = []
  const urls: Record<string, string> = {}
  for (const service of SERVICES) {
    const { url, summary } = await provide(service, {
      ...run,
      keep(pid, signal) {
        run.keep(pid, signal)
        if (service.envVar !== 'KAFKA_BROKERS') pids.push(pid)
      },
    })
    console.log(summary)
    urls[service.envVar] = url
  }
  const { DATABASE_URL: databaseUrl = '', REDIS_URL: redisUrl = '', KAFKA_BROKERS: kafkaBrokers = '' } = urls
  // Those that were there already serve others as well: what they cost is not known.
  const arePrivate = !process.env.DATABASE_URL && !process.env.REDIS_URL
  const { directory, env } = run
  return { directory, env, databaseUrl, redisUrl, kafkaBrokers, profiles, pids: arePrivate ? pids : [] }
}

function isEnd(nodes: number, counts: readonly number[]): boolean {
  return nodes === Math.min(...counts) || nodes === Math.max(...counts)
}

function positive(option: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`${option} wants whole numbers from 1, not ${text}`)
  return number
}

function programOf(text: string): Program {
  const program = PROGRAMS.find((name) => name === text.trim())
  if (program === undefined) throw new Error(`--programs wants some of ${PROGRAMS.join(', ')}, not ${text}`)
  return program
}

function machine(): string {
  return `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`
}

function secondsSince(time: number): string {
  return ((performance.now() - time) / 1000).toFixed(0)
}
