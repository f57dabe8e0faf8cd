/**
 * The whole program, wired: every choice between its parts is made here, from `Config`, and nowhere else.
 * Builds and never listens; work goes out and is swept from the moment the server listens.
 */
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Redis } from 'ioredis'
import { createTokenVerifier } from './auth/token.js'
import { type Committed, createCommitGroups } from './chapters/commit-group.js'
import type { Config } from './config.js'
import { roomOf } from './contract/socket.js'
import { createDispatcher, type Dispatcher, LEASE_MS } from './dispatch/dispatcher.js'
import { createLocalQueue } from './dispatch/local-queue.js'
import { dueJobOf } from './dispatch/message.js'
import type { JobQueue } from './dispatch/queue.js'
import { createSampleModel } from './generator/sample.js'
import { createWorker } from './generator/worker.js'
import { createClientAuth, webhookAuth, whatIsOpen } from './http/auth.js'
import { chapterRoutes } from './http/chapters.js'
import { eventRoutes } from './http/events.js'
import { healthRoutes } from './http/health.js'
import { openapi } from './http/openapi.js'
import { page } from './http/page.js'
import { registerRateLimits } from './http/rate-limit.js'
import { createHttpServer } from './http/server.js'
import { webhookRoutes } from './http/webhooks.js'
import { guardSockets } from './realtime/auth.js'
import { createChapterRooms } from './realtime/chapter-room.js'
import { createPageReader } from './realtime/enter.js'
import { createFeed, type FeedEntry } from './realtime/feed.js'
import { closeSockets, serveSockets, socketIo, watchUnsent } from './realtime/io.js'
import { createChapterStore } from './store/chapters.js'
import { type Database, openEmbeddedDatabase } from './store/database.js'
import { createEventStore } from './store/events.js'
import { createJobStore, type JobStore } from './store/jobs.js'
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
  redis?: Redis
  /** How often due and overdue work is looked for, ms. */
  pollMs?: number
  /** How often the log is asked for what rooms lack, ms. */
  repairMs?: number
}

const POLL_MS = 500
/** How long sockets may take to close, ms: Ctrl-C ends within two seconds. */
const CLOSE_SOCKETS_MS = 1000

export async function buildApp(config: Config, overrides: Overrides = {}): Promise<FastifyInstance> {
  const { now = Date.now, random = Math.random, newId = randomUUID, pollMs = POLL_MS } = overrides
  let isDraining = false

  const server = await createHttpServer({
    config,
    isDraining: () => isDraining,
    ...(overrides.logger === undefined ? {} : { logger: overrides.logger }),
  })
  const app = server as unknown as FastifyInstance
  const { log } = app

  const database = overrides.database ?? (await openEmbeddedDatabase(config.dataDir))
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
  const groups = createCommitGroups({
    store: chapters,
    policy: config.generation,
    now,
    random,
    newId,
    leaseMs: LEASE_MS,
    onError: (error, about) => log.error({ err: error }, about),
    // Sockets first, then the work: what a worker answers must not overtake what asked for it.
    onCommit(committed) {
      feed.deliver(committed.map(feedEntryOf))
      dispatcher?.offer(
        committed.flatMap(({ state, dueKinds }) => dueKinds.map((kind) => dueJobOf(state, kind))),
      )
      if (committed.some(({ hasDeadLetters }) => hasDeadLetters)) dispatcher?.offerDeadLetters()
    },
  })

  const readPage = createPageReader(events)
  const verify = config.jwt === undefined ? undefined : createTokenVerifier(config.jwt, { now })
  const clients = createClientAuth(verify, now)

  await app.register(openapi)
  const limits = await registerRateLimits(app, {
    limits: config.rateLimit,
    clients,
    redis: overrides.redis,
    prefix: config.redis?.prefix ?? 'chaptercast',
    onAway: (error) => log.warn({ err: error }, 'Redis does not answer: nobody is limited until it does'),
  })
  await app.register(socketIo, { config, isDraining: () => isDraining })
  const socketAuth = guardSockets(app.io, {
    verify,
    now,
    trustProxy: config.trustProxy,
    onError: (error) => log.error({ err: error }, 'a token could not be checked'),
  })
  const rooms = createChapterRooms({
    feed,
    readPage,
    maxRooms: config.maxRoomsPerSocket,
    accessOf: (socket) => socketAuth.identityOf(socket).access,
    limitJoin: (socket) => limits.join(socketAuth.clientOf(socket)),
    log,
  })
  serveSockets(app, rooms, socketAuth)
  const unwatch = watchUnsent(app.io)
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
  })
  await app.register(healthRoutes, {
    isDraining: () => isDraining,
    probes: { database: () => database.ping() },
  })
  await app.register(page)

  const publicUrl = () => config.publicUrl ?? `http://localhost:${portOf(app) ?? config.port}`
  const queue = overrides.queue ?? localQueue(config, { hold: jobs.hold, now, log })
  let sweeper: { close(): Promise<void> } | undefined

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
    const open = whatIsOpen(config)
    if (open !== undefined) log.warn(open)
  })

  // Closing: no new sessions, no new work, sockets away; then what is in flight; then the database.
  app.addHook('preClose', async () => {
    isDraining = true
    unwatch()
    await Promise.all([dispatcher?.close(), sweeper?.close()])
    await queue.close()
    await closeSockets(app.io, CLOSE_SOCKETS_MS)
  })
  app.addHook('onClose', async () => {
    await groups.close()
    await feed.close()
    await database.close()
  })
  return app
}

function localQueue(
  config: Config,
  { hold, now, log }: { hold: JobStore['hold']; now: () => number; log: FastifyBaseLogger },
): JobQueue {
  const work =
    config.generator === 'off'
      ? undefined
      : createWorker({
          model: createSampleModel({ delayMs: config.generatorDelayMs }),
          webhookSecret: config.webhookSecrets[0],
          log,
          // The server’s own deadline comes first and is told of as a time-out.
          modelTimeoutMs: 2 * config.generation.timeoutMs,
        })
  return createLocalQueue({ work, hold, now, log })
}

function feedEntryOf({ state, events }: Committed): FeedEntry {
  const { id, progressVersion: version, latestProgress: update } = state
  return { chapterId: id, events, progress: update === null ? null : { version, update } }
}

function portOf(app: FastifyInstance): number | undefined {
  return (app.server.address() as AddressInfo | null)?.port
}
