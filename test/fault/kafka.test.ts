import pino from 'pino'
import t, { type Test } from 'tap'
import type { KafkaConfig } from '../../src/config/config.js'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { TOPICS } from '../../src/contract/generation.js'
import { LEASE_MS } from '../../src/dispatch/dispatcher.js'
import { createKafkaQueue } from '../../src/dispatch/kafka-queue.js'
import { createChapter, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postgresUrl } from '../support/database.js'
import { faultyNetwork, kafkaConfig, readTopics, type Written } from '../support/kafka.js'
import { redisPrefix } from '../support/redis.js'
import { scale } from '../support/scale.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { compareWithLog, latenessOf, liveChapter, NOTHING_WRONG, query, watch } from '../support/watch.js'

const CHAPTERS = scale(10, 40)
const LONG = { timeoutMs: 60_000, everyMs: 50 }
/** Of a request while Kafka is away: it waits for nothing of Kafka’s. */
const AT_ONCE_MS = 5000

t.test('Kafka dead: creating works, the jobs wait, and all go out when it is back', async (t) => {
  const system = await nodesWithKafka(t)
  const { nodes, proxies, databaseUrl, config, clock } = system
  const written = await readTopics(t, config, Object.values(TOPICS))
  const first = await createChapter(nodes[0]?.url ?? '')
  await waitFor('work to go out', () => jobsOf(written).has(first))

  for (const proxy of proxies) proxy.cut()
  const slowest = await createMany(t, nodes)
  for (const node of nodes) t.match(await node.readyz(), { status: 200, dependencies: { kafka: 'degraded' } })
  t.equal((await jobsWith(databaseUrl, 'queued')).length, 3 * CHAPTERS, 'the jobs wait')

  for (const proxy of proxies) proxy.resume()
  const backAt = performance.now()
  clock.passedMs += LEASE_MS + 1000
  await allOut(t, system, written, 3 * (CHAPTERS + 1))
  t.comment(
    `${tally(written)}; a create took at most ${slowest} ms; all out ${since(backAt)} ms after it was back`,
  )
})

t.test('Kafka silent: a send ends at its deadline, and nothing else waits for it', async (t) => {
  const system = await nodesWithKafka(t)
  const { nodes, proxies, databaseUrl, config, clock } = system
  const written = await readTopics(t, config, Object.values(TOPICS))
  const first = await createChapter(nodes[0]?.url ?? '')
  await waitFor('work to go out', () => jobsOf(written).has(first))
  const watchers = await Promise.all(nodes.map(({ url }) => watch(t, url)))

  for (const proxy of proxies) proxy.stall()
  const slowest = await createMany(t, nodes)
  const from = performance.now()
  await liveChapter(nodes, watchers)
  t.ok(since(from) < AT_ONCE_MS, `a whole chapter in ${since(from)} ms`)
  await waitFor(
    'a send to be given up',
    () => nodes.every(({ log }) => log.some(({ msg }) => msg.startsWith('jobs could not be published'))),
    LONG,
  )
  t.comment(`a send was given up after ${since(from)} ms`)
  t.ok(since(from) < LEASE_MS, 'before its lease ends')

  for (const proxy of proxies) {
    proxy.abandon()
    proxy.resume()
  }
  const backAt = performance.now()
  clock.passedMs += LEASE_MS + 1000
  // The finished chapter’s jobs are nobody’s work any more.
  await allOut(t, system, written, 3 * (CHAPTERS + 1))
  t.match(await compareWithLog(databaseUrl, watchers), NOTHING_WRONG)
  const { maxMs } = latenessOf(watchers)
  t.comment(
    `${tally(written)}; a create took at most ${slowest} ms; events at most ${maxMs} ms late; all out ${since(backAt)} ms after`,
  )
})

t.test('a node that cannot reach Kafka and ends leaves its jobs to the others', async (t) => {
  const system = await nodesWithKafka(t)
  const { nodes, proxies, config, clock } = system
  const [one, two] = nodes as [TestNode, TestNode]
  const written = await readTopics(t, config, Object.values(TOPICS))
  await createChapter(two.url)
  await waitFor('work to go out', () => written.length >= 3)
  proxies[0]?.cut()
  await createMany(t, [one])
  await one.stop()
  clock.passedMs += LEASE_MS + 1000
  await allOut(t, system, written, 3 * (CHAPTERS + 1))
  t.comment(tally(written))
})

/** Two nodes, each with its own way to the brokers; their clock can be moved, so that leases need not be waited for. */
async function nodesWithKafka(t: Test) {
  const config = kafkaConfig()
  const databaseUrl = await postgresUrl(t)
  const clock = { passedMs: 0 }
  const env = { REDIS_PREFIX: redisPrefix() }
  const ways = await Promise.all([faultyNetwork(t, config), faultyNetwork(t, config)])
  const systems = await Promise.all(
    ways.map(({ openSocket }) => {
      const queue = createKafkaQueue({ kafka: config, log: pino({ level: 'silent' }), openSocket })
      const overrides = { queue, now: () => Date.now() + clock.passedMs }
      return startNodes(t, 1, { env, databaseUrl, overrides })
    }),
  )
  const nodes = systems.flatMap((system) => system.nodes)
  await waitFor(
    'Kafka to be there',
    async () => (await Promise.all(nodes.map((node) => node.readyz()))).every(isConnected),
    LONG,
  )
  return { nodes, proxies: ways.map(({ proxy }) => proxy), databaseUrl, config, clock }
}

const isConnected = ({ dependencies }: { dependencies: Record<string, string> }) =>
  dependencies.kafka === 'ok'

/** @returns how long the slowest took, ms */
async function createMany(t: Test, nodes: readonly TestNode[]): Promise<number> {
  let slowest = 0
  for (let n = 0; n < CHAPTERS; n++) {
    const from = performance.now()
    const { status } = await post(`${nodes[n % nodes.length]?.url}/v1/chapter/`, CREATE_EXAMPLE)
    if (status !== 201) t.equal(status, 201)
    slowest = Math.max(slowest, since(from))
  }
  t.ok(slowest < AT_ONCE_MS, `the slowest in ${slowest} ms`)
  return slowest
}

interface KafkaSystem {
  databaseUrl: string
  config: KafkaConfig
}

/** Every job of the database has its message, and is marked, once. */
async function allOut(
  t: Test,
  { databaseUrl }: KafkaSystem,
  written: Written[],
  jobs: number,
): Promise<void> {
  const unfinished = `select 1 from job where status not in ('published', 'completed')`
  await waitFor(
    'all jobs to be marked',
    async () => (await query(databaseUrl, unfinished)).length === 0,
    LONG,
  )
  const published = await jobsWith(databaseUrl, 'published')
  t.equal(published.length, jobs)
  const sent = () => new Set(written.map(({ headers }) => String(headers?.['job-id'])))
  await waitFor('all messages', () => published.every(({ id }) => sent().has(id)), LONG)
  t.ok(
    written.every(({ headers }) => String(headers?.attempt) === '1'),
    'no attempt was spent',
  )
}

function jobsWith(databaseUrl: string, status: string): Promise<{ id: string }[]> {
  return query(databaseUrl, `select job_id as id from job where status = '${status}'`)
}

function jobsOf(written: readonly Written[]): Set<number> {
  return new Set(written.map(({ key }) => Number(String(key))))
}

function tally(written: readonly Written[]): string {
  const jobs = new Set(written.map(({ headers }) => String(headers?.['job-id'])))
  return `${jobs.size} jobs sent, 0 lost, ${written.length - jobs.size} sent twice`
}

const since = (from: number) => Math.round(performance.now() - from)
