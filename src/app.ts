/**
 * The whole program, wired: every choice between its parts is made here, from `Config`, and nowhere else.
 * Builds and never listens; work goes out and is swept from the moment the server listens.
 */
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createSemaphore } from './async/semaphore.js'
import { createTokenVerifier } from './auth/token.js'
import { type Committed, createCommitGroups } from './chapters/commit-group.js'
import type { Config } from './config/config.js'
import { roomOf } from './contract/socket.js'
import { createDispatcher, type Dispatcher, LEASE_MS } from './dispatch/dispatcher.js'
import { createKafkaQueue } from './dispatch/kafka-queue.js'
import { createLocalQueue } from './dispatch/local-queue.js'
import { dueJobOf, parentOf } from './dispatch/message.js'
import type { JobQueue } from './dispatch/queue.js'
import { connectNodeBus, type NodeBus } from './feed/bus.js'
import { createPageReader } from './feed/catch-up.js'
import { createFeed, type FeedEntry } from './feed/feed.js'
import { createGeneratorConsumer, type GeneratorConsumer } from './generator/consumer.js'
import { chooseModel } from './generator/models.js'
import { createWorker, type Work } from './generator/worker.js'
import { createClientAuth, webhookAuth, whatIsOpen } from './http/auth.js'
import { chapterRoutes } from './http/chapters.js'
import { trackConnections } from './http/connections.js'
import { eventRoutes } from './http/events.js'
import { healthRoutes } from './http/health.js'
import { measureRequests, metricsRoute } from './http/metrics.js'
import { openapi } from './http/openapi.js'
import { page } from './http/page.js'
import { registerRateLimits } from './http/rate-limit.js'
import { createHttpServer } from './http/server.js'
import { webhookRoutes } from './http/webhooks.js'
import { createMetrics } from './metrics.js'
import { guardSockets } from './sockets/auth.js'
import { closeSockets, serveSockets, socketIo, watchUnsent } from './sockets/io.js'
import { createChapterRooms } from './sockets/rooms.js'
import { createSessions } from './sockets/sessions.js'
import { createChapterStore } from './store/chapters.js'
import { type Database, openEmbeddedDatabase } from './store/database.js'
import { createEventStore } from './store/events.js'
import { createJobStore, type JobStore } from './store/jobs.js'
import { openPostgres } from './store/postgres.js'
import { createSessionStore } from './store/sessions.js'
import { createSweeper } from './timers/sweeper.js'

/** What tests put in place of the real thing. */
export interface Overrides {
  /** Milliseconds since the epoch. */
  now?: () => number
  random?: () => number
  newId?: () => string
  database?: Database
  queue?: JobQueue
  logger?: FastifyBaseLogger
  /** How often due and overdue work is looked for, ms. */
  pollMs?: number
  /** How often the log is asked for what rooms lack, ms. */
  repairMs?: number
}

const POLL_MS = 500
/** How long sockets may take to close, ms: Ctrl-C ends within two seconds. */
const CLOSE_SOCKETS_MS = 1000
/** And then other connections that are idle. */
const CLOSE_IDLE_MS = 300
/** Kept of `SHUTDOWN_TIMEOUT_MS` for closing the rest, ms. */
const LAST_MS = 1000

export async function buildApp(config: Config, overrides: Overrides = {}): Promise<FastifyInstance> {
  const { now = Date.now, random = Math.random, newId = randomUUID, pollMs = POLL_MS } = overrides
  /** `leaving`: not ready, but all is served until the proxy has noticed. `closing`: nothing new. */
  let stage: 'open' | 'leaving' | 'closing' = 'open'

  const server = await createHttpServer({
    config,
    isDraining: () => stage === 'closing',
    ...(overrides.logger === undefined ? {} : { logger: overrides.logger }),
  })
  const app = server as unknown as FastifyInstance
  const { log } = app

  const database = overrides.database ?? (await openDatabase(config, log))
  const chapters = createChapterStore(database.db)
  const jobs = createJobStore(database.db)
  const events = createEventStore(database.db)
  if (database.isExclusive) await jobs.voidLeases(now())

  const feed = createFeed({
    events,
    toRoom: (chapterId, name, payload) => app.io.local.to(roomOf(chapterId)).emit(name, payload as never),
    onError: (error) =>
      log.warn({ err: error }, 'the log could not be asked for what rooms lack; it is asked again'),
    ...(overrides.repairMs === undefined ? {} : { repairMs: overrides.repairMs }),
  })

  let dispatcher: Dispatcher | undefined
  let consumer: GeneratorConsumer | undefined
  let bus: NodeBus | undefined
  const metrics = createMetrics({
    countJobs: jobs.count,
    now,
    sockets: () => app.io.engine.clientsCount,
    rooms: () => feed.rooms,
    feedRepairs: () => feed.repaired,
    passedOver: () => consumer?.passedOver ?? 0,
    isRedisHearing: () => bus?.isHearing,
  })
  const groups = createCommitGroups({
    store: chapters,
    policy: config.generation,
    now,
    random,
    newId,
    leaseMs: LEASE_MS,
    onError: (error, about) => log.error({ err: error }, about),
    onGroup: metrics.groupWritten,
    // Sockets first, then the work: what a worker answers must not overtake what asked for it.
    onCommit(committed) {
      const entries = committed.map(feedEntryOf)
      feed.deliver(entries)
      bus?.publish(entries)
      dispatcher?.offer(
        committed.flatMap(({ state, dueKinds }) => dueKinds.map((kind) => dueJobOf(state, kind))),
      )
      if (committed.some(({ deadLetters }) => deadLetters.length > 0)) dispatcher?.offerDeadLetters()
      metrics.committed(committed)
    },
  })

  const verify = config.jwt === undefined ? undefined : createTokenVerifier(config.jwt, { now })
  const clients = createClientAuth(verify, now)
  const readPage = createPageReader(events)
  const sessions = createSessions({
    store: createSessionStore(database.db),
    nodeId: newId(),
    ttlMs: config.sessionTtlMs,
    maxRooms: config.maxRoomsPerSocket,
    now,
    log,
  })

  await app.register(openapi)
  await app.register(socketIo, { config, isDraining: () => stage === 'closing' })
  const connections = trackConnections(app)
  if (config.redis !== undefined)
    bus = connectNodeBus({
      config: config.redis,
      io: app.io,
      onEntries: feed.deliver,
      onReconnect: feed.repair,
      log,
    })
  const limits = await registerRateLimits(app, {
    limits: config.rateLimit,
    clients,
    redis: bus?.redis,
    prefix: config.redis?.prefix ?? 'chaptercast',
    onAway: (error) => log.warn({ err: error }, 'Redis does not answer: nobody is limited until it does'),
  })
  const auth = guardSockets(app.io, {
    verify,
    now,
    trustProxy: config.trustProxy,
    onError: (error) => log.error({ err: error }, 'a token could not be checked'),
  })
  const rooms = createChapterRooms({
    feed,
    readPage,
    maxRooms: config.maxRoomsPerSocket,
    accessOf: (socket) => auth.identityOf(socket).access,
    limitJoin: (socket) => limits.join(auth.clientOf(socket)),
    sessions,
    log,
  })
  serveSockets(app, { rooms, auth, sessions })
  const unwatch = watchUnsent(app.io)

  const queue = overrides.queue ?? openQueue(config, { hold: jobs.hold, now, log })
  measureRequests(app, metrics)
  await app.register(chapterRoutes, {
    groups,
    chapters,
    defaultLocale: config.defaultLocale,
    clients,
    createLimit: limits.create,
  })
  await app.register(eventRoutes, { feed, readPage, clients })
  await app.register(webhookRoutes, {
    groups,
    bodyLimitBytes: config.webhookBodyLimitBytes,
    authenticate: webhookAuth(config.webhookSecrets),
    onAnswer: metrics.callbackAnswered,
  })
  await app.register(healthRoutes, {
    isDraining: () => stage !== 'open',
    probes: {
      database: () => database.ping(),
      ...(bus === undefined ? {} : { redis: hearingProbe(bus) }),
      ...(queue.probe === undefined ? {} : { kafka: queue.probe }),
    },
  })
  await app.register(metricsRoute, { metrics })
  await app.register(page)

  const publicUrl = () => config.publicUrl ?? `http://localhost:${portOf(app) ?? config.port}`
  let sweeper: { close(): Promise<void> } | undefined
  const lastCalls: NodeJS.Timeout[] = []

  app.addHook('onListen', async () => {
    dispatcher = createDispatcher({
      queue,
      jobs,
      groups,
      now,
      queueTimeoutMs: config.generation.queueTimeoutMs,
      publicUrl,
      pollMs,
      log,
    })
    sweeper = createSweeper({
      jobs,
      events,
      groups,
      now,
      pollMs,
      eventRetentionMs: config.eventRetentionMs,
      log,
    })
    log.info(
      { database: database.description, generator: config.generator },
      `chaptercast is at ${publicUrl()}`,
    )
    consumer = openConsumer(config, log)
    const open = whatIsOpen(config)
    if (open !== undefined) log.warn(open)
  })

  // Leaving: the proxy notices; no new sessions, no new work, sockets away; then what is in flight; then the rest.
  app.addHook('preClose', async () => {
    stage = 'leaving'
    await delay(config.drainDelayMs)
    stage = 'closing'
    unwatch()
    const closeMs = Math.max(CLOSE_SOCKETS_MS, config.drainDelayMs / 2)
    // Fastify waits for every connection: what nobody is being answered on does not hold it.
    lastCalls.push(setTimeout(connections.destroyIdle, closeMs + CLOSE_IDLE_MS))
    lastCalls.push(
      setTimeout(
        connections.destroyAll,
        Math.max(closeMs + CLOSE_IDLE_MS, config.shutdownTimeoutMs - config.drainDelayMs - LAST_MS),
      ),
    )
    await Promise.all([dispatcher?.close(), sweeper?.close(), consumer?.close(closeMs)])
    await queue.close()
    await closeSockets(app.io, closeMs)
  })
  app.addHook('onClose', async () => {
    for (const timer of lastCalls) clearTimeout(timer)
    await groups.close()
    await rooms.close()
    await sessions.close()
    await feed.close()
    bus?.close()
    await database.close()
  })
  return app
}

async function openDatabase(config: Config, log: FastifyBaseLogger): Promise<Database> {
  return config.postgres === undefined
    ? await openEmbeddedDatabase(config.dataDir)
    : await openPostgres(config.postgres, log)
}

interface QueueParts {
  hold: JobStore['hold']
  now: () => number
  log: FastifyBaseLogger
}

function openQueue(config: Config, { hold, now, log }: QueueParts): JobQueue {
  if (config.kafka !== undefined) return createKafkaQueue({ kafka: config.kafka, log, parentOf })
  if (config.generator === 'off') return createLocalQueue({ work: undefined, hold, now, log })
  const work = generatorWork(config, log)
  if (config.generator !== 'openai') return createLocalQueue({ work, hold, now, log })
  const slots = createSemaphore(config.generatorConcurrency)
  return createLocalQueue({
    async work(message, signal) {
      const giveBack = await slots.take(signal)
      await work(message, signal).finally(giveBack)
    },
    hold,
    now,
    log,
  })
}

/** With Kafka and a generator in this process: what it takes from the topics, as `npm run generator` does. */
function openConsumer(config: Config, log: FastifyBaseLogger): GeneratorConsumer | undefined {
  const { kafka, generator, generatorConcurrency: concurrency } = config
  if (kafka === undefined || generator === 'off') return undefined
  return createGeneratorConsumer({ kafka, concurrency, log, work: generatorWork(config, log) })
}

function generatorWork(config: Config, log: FastifyBaseLogger): Work {
  return createWorker({
    model: chooseModel(config, log).model,
    webhookSecret: config.webhookSecrets[0],
    log,
    // The server’s own deadline comes first and is told of as a time-out.
    modelTimeoutMs: 2 * config.generation.timeoutMs,
    whenRunning: config.kafka === undefined ? 'skip' : 'throw',
  })
}

/** Whether other nodes are heard, not whether Redis answers: a half-open connection does not. */
function hearingProbe(bus: NodeBus): () => Promise<void> {
  return async () => {
    if (!bus.isHearing) throw new Error('Redis does not deliver')
  }
}

function feedEntryOf({ state, events }: Committed): FeedEntry {
  const { id, progressVersion: version, latestProgress: update } = state
  return { chapterId: id, events, progress: update === null ? null : { version, update } }
}

function portOf(app: FastifyInstance): number | undefined {
  return (app.server.address() as AddressInfo | null)?.port
}
