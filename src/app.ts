/**
 * The whole program as a list of parts, each after those it needs. Parts that need each other do so through functions,
 * which are called once all parts are there. Every choice between parts is made here, from `Config`, and nowhere else.
 * Builds and never listens; work goes out and is swept while the server listens.
 *
 * Each part closes what it opened. Closing: the proxy notices that the node is draining (`lifecycle`), no new work,
 * sockets go, requests under way end; then the rest, last part first.
 */
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createRedriver } from './admin/redriver.js'
import { adminRoutes } from './admin/routes.js'
import { createSemaphore } from './async/semaphore.js'
import { createTokenVerifier } from './auth/token.js'
import { createTokenSigner } from './auth/watch-token.js'
import { type CommitGroups, type Committed, createCommitGroups } from './chapters/commit-group.js'
import type { Config } from './config/config.js'
import { courseRoomOf } from './contract/course.js'
import { isEndEvent } from './contract/event.js'
import { roomOf } from './contract/socket.js'
import { createDispatcher, type Dispatcher, LEASE_MS } from './dispatch/dispatcher.js'
import { createHttpQueue } from './dispatch/http-queue.js'
import { createKafkaQueue } from './dispatch/kafka-queue.js'
import { createLocalQueue } from './dispatch/local-queue.js'
import { dueJobOf } from './dispatch/message.js'
import { createNotices } from './dispatch/notices.js'
import { createPauses } from './dispatch/pauses.js'
import { createPlaces } from './dispatch/places.js'
import type { JobQueue } from './dispatch/queue.js'
import { deletedMessage } from './domain/messages.js'
import { isWindowed } from './domain/window.js'
import { type Bus, createBus } from './feed/bus.js'
import { createPageReader } from './feed/catch-up.js'
import { createCourseFeed } from './feed/course-feed.js'
import { createFeed, type FeedEntry } from './feed/feed.js'
import { connectRedis } from './feed/redis.js'
import { createTextIntake } from './feed/text-intake.js'
import { createGeneratorConsumer } from './generator/consumer.js'
import { chooseModel } from './generator/models.js'
import { createWorker, type Work } from './generator/worker.js'
import { createClientAuth, webhookAuth, whatIsOpen } from './http/auth.js'
import { chapterRoutes } from './http/chapters.js'
import { trackConnections } from './http/connections.js'
import { courseRoutes } from './http/courses.js'
import { eventRoutes } from './http/events.js'
import { healthRoutes, stateOf } from './http/health.js'
import { createLifecycle, type Lifecycle } from './http/lifecycle.js'
import { boundLoad } from './http/load.js'
import { measureRequests, metricsRoute } from './http/metrics.js'
import { openapi } from './http/openapi.js'
import { page } from './http/page.js'
import { registerRateLimits } from './http/rate-limit.js'
import { requestCheck, socketIoCheck } from './http/request-check.js'
import { revisionRoutes } from './http/revisions.js'
import { type BuildSerializer, createHttpServer } from './http/server.js'
import { watchTokenRoutes } from './http/watch-token.js'
import { webhookRoutes } from './http/webhooks.js'
import { createMetrics, type Metrics } from './metrics.js'
import { attachRedisAdapter } from './sockets/adapter.js'
import { guardSockets } from './sockets/auth.js'
import type { ChapterIo, ChapterSocket } from './sockets/chapter-io.js'
import { createCourseRooms } from './sockets/course-rooms.js'
import { serveSockets, socketIo } from './sockets/io.js'
import { type ChapterRooms, createChapterRooms } from './sockets/rooms.js'
import { createSessions } from './sockets/sessions.js'
import { createAuditStore } from './store/audit.js'
import { createChapterStore } from './store/chapters.js'
import { createCourseStore } from './store/courses.js'
import { type Database, openEmbeddedDatabase } from './store/database.js'
import { createDeliveryStore } from './store/deliveries.js'
import { createEventStore } from './store/events.js'
import { createFailedJobStore } from './store/failed-jobs.js'
import { createJobStore, type JobStore } from './store/jobs.js'
import { createOpenJobStore, type OpenJobStore } from './store/open-jobs.js'
import { createPartialStore } from './store/partials.js'
import { createPauseStore } from './store/pauses.js'
import { openPostgres } from './store/postgres.js'
import { createRedriveStore } from './store/redrives.js'
import { createRevisionStore } from './store/revisions.js'
import { createRunningJobStore } from './store/running-jobs.js'
import { createSessionStore } from './store/sessions.js'
import { createWindowStore } from './store/window.js'
import { logAttempts } from './telemetry/attempt-log.js'
import { openTelemetry } from './telemetry/telemetry.js'
import type { Telemetry, Tracing } from './telemetry/tracing.js'
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
  /** What writes answers, so that several servers of a process compile it once. */
  buildSerializer?: BuildSerializer
}

const POLL_MS = 500
/** Deadlines are minutes, and holds end after seconds. */
const SWEEP_POLLS = 2
/** A redrive that nobody carries on is found after so many. */
const REDRIVE_POLLS = 4

export async function buildApp(config: Config, overrides: Overrides = {}): Promise<FastifyInstance> {
  const { now = Date.now, random = Math.random, newId = randomUUID, pollMs = POLL_MS } = overrides
  const { generation } = config
  const lifecycle = createLifecycle(config)
  const app = await openServer(config, lifecycle, overrides)
  const { log } = app
  const nodeId = newId()
  lifecycle.register(app)
  boundLoad(app, config.maxWaitingBytes)
  const telemetry = await openTelemetry(config, log)
  if (telemetry !== undefined) await traceWith(app, closedLast(app, telemetry))
  const tracing = telemetry?.tracing

  // The truth.
  const database = closedLast(app, overrides.database ?? (await openDatabase(config, log)))
  const chapters = createChapterStore(database.db)
  const revisions = createRevisionStore(database.db)
  const jobs = createJobStore(database.db)
  const sessionStore = createSessionStore(database.db)
  const events = createEventStore(database.db)
  const courses = createCourseStore(database.db)
  const pauseStore = createPauseStore(database.db)
  const failedJobs = createFailedJobStore(database.db)
  const redrives = createRedriveStore(database.db)
  const deliveries = createDeliveryStore(database.db)
  const audit = createAuditStore(database.db)
  if (database.isExclusive) await jobs.voidLeases(now())

  // Committed events, to this node's listeners and to the nodes that have some.
  const redis = config.redis && closedLast(app, connectRedis(config.redis, log))
  const bus = redis && config.redis && createBus({ redis, prefix: config.redis.prefix, nodeId, log })
  if (bus !== undefined) closedLast(app, bus)
  const feed = closedLast(
    app,
    createFeed({
      events,
      bus,
      toRoom(chapterId, name, payload) {
        app.io.local.to(roomOf(chapterId)).emit(name, payload as never)
        if ('seq' in payload && 'at' in payload) metrics.eventSent(String(payload.at))
      },
      emptyRoom: (chapterId, message) => rooms.leaveDeleted(socketsIn(app.io, chapterId), chapterId, message),
      deletedMessage: deletedMessage(config.defaultLocale),
      tracing,
      onError: (error) => log.warn({ err: error }, 'the log could not be read for rooms; it is read again'),
      ...(overrides.repairMs === undefined ? {} : { repairMs: overrides.repairMs }),
    }),
  )
  const readPage = createPageReader(events)
  const courseFeed = closedLast(
    app,
    createCourseFeed({
      store: courses,
      bus,
      toRoom: ({ courseId, ownerId }, name, payload, except = []) =>
        app.io.local
          .to(courseRoomOf(courseId, ownerId))
          .except(except)
          .emit(name, payload as never),
      onError: (error) => log.warn({ err: error }, 'courses could not be read; they are read again'),
      ...(overrides.repairMs === undefined ? {} : { repairMs: overrides.repairMs }),
    }),
  )

  // Queued jobs, to whoever does the work.
  const publicUrl = () => config.publicUrl ?? `http://localhost:${portOf(app) ?? config.port}`
  const window = isWindowed(config.window) ? createWindowStore(database.db) : undefined
  const places = window && createPlaces({ limits: config.window, store: window, now, random })
  const queue: JobQueue =
    overrides.queue ??
    openQueue(config, {
      hold: jobs.hold,
      open: createOpenJobStore(database.db),
      submit: (command) => groups.submit(command),
      metrics: () => metrics,
      lifecycle,
      tracing,
      now,
      random,
      log,
    })
  const pauses = whileListening(app, () =>
    createPauses({
      store: pauseStore,
      pollMs,
      onPaused: (kinds) =>
        queue
          .giveBack?.(kinds)
          .catch((error: unknown) => log.warn({ err: error }, 'paused jobs are given back later')),
      onResumed: () => dispatcher()?.look(),
      onError: (error) => log.warn({ err: error }, 'pauses could not be read; they are read again'),
    }),
  )
  const dispatcher: () => Dispatcher | undefined = whileListening(app, () =>
    createDispatcher({
      queue,
      jobs,
      places,
      pauses: pauses(),
      now,
      // By HTTP a job is with its worker as soon as it is sent.
      queueTimeoutMs: config.dispatch === 'http' ? generation.timeoutMs : generation.queueTimeoutMs,
      publicUrl,
      pollMs,
      onPublished: (published) => courseFeed.sent(published),
      tracing,
      log,
    }),
  )

  const consumer = whileListening(app, () => openConsumer(config, lifecycle, log, tracing))

  const probes: Record<string, () => Promise<void>> = {
    database: () => database.ping(),
    ...(bus === undefined ? {} : { redis: hearingProbe(bus) }),
    ...(queue.probe === undefined ? {} : { kafka: queue.probe }),
  }

  // Commands in, committed events out.
  const metrics = createMetrics({
    countJobs: () => jobs.count({ now: now(), isWindowed: places !== undefined }),
    windows: places && (() => places.widths),
    now,
    sockets: () => app.io.engine.clientsCount,
    rooms: () => feed.rooms,
    courses: () => courseFeed.courses,
    feedRepairs: () => ({ chapter: feed.missed, course: courseFeed.repaired }),
    passedOver: () => consumer()?.passedOver ?? 0,
    dependencies: () =>
      Promise.all(
        Object.entries(probes).map(async ([name, probe]) => ({
          name,
          isUp: (await stateOf(probe)) === 'ok',
        })),
      ),
    isRedisHearing: () => bus?.isHearing,
    isDispatchAway: queue.trouble && (() => queue.trouble?.() !== undefined),
  })
  // Jobs that wait for a place, or for room in a queue that takes few, are claimed by whichever node has it.
  const isClaimed = places !== undefined || queue.whenRoom !== undefined
  const groups = closedLast(
    app,
    createCommitGroups({
      store: chapters,
      policy: generation,
      now,
      random,
      newId,
      leaseMs: isClaimed ? null : LEASE_MS,
      onError: (error, about) => log.error({ err: error }, about),
      onGroup: metrics.groupWritten,
      tracing,
      // Listeners first, then the work: what a worker answers must not overtake what asked for it.
      onCommit(committed) {
        tellListeners(committed)
        tellDispatcher(committed)
        forgetDeleted(committed)
        if (committed.some(endsRun)) notices()?.soon()
        metrics.committed(committed)
        logAttempts(committed, log)
      },
    }),
  )

  function tellListeners(committed: Committed[]): void {
    // Courses first: their messages to other nodes go out in one write with those of the feed.
    courseFeed.publish(committed)
    feed.publish(committed.map(feedEntryOf))
  }

  function tellDispatcher(committed: Committed[]): void {
    const due = committed.flatMap(({ state, dueKinds }) => dueKinds.map((kind) => dueJobOf(state, kind)))
    dispatcher()?.offer(due)
    if (places !== undefined) dispatcher()?.hear(committed.flatMap(({ events }) => events))
    if (committed.some(({ isMoreDue }) => isMoreDue)) dispatcher()?.look()
    if (committed.some(({ deadLetters }) => deadLetters.length > 0)) dispatcher()?.offerDeadLetters()
  }

  function forgetDeleted(committed: Committed[]): void {
    const deleted = committed.filter(({ isDeleted }) => isDeleted).map(({ state }) => state.id)
    if (deleted.length === 0) return
    sessionStore
      .forgetChapters(deleted)
      .catch((error: unknown) => log.warn({ err: error }, 'rooms of a deleted chapter are forgotten later'))
  }

  const texts = closedLast(
    app,
    createTextIntake({
      groups,
      feed,
      readPage,
      store: createPartialStore(database.db, database.isExclusive),
      policy: generation,
      now,
      hasOthers: bus !== undefined,
      onError: (error) => log.warn({ err: error }, 'text so far could not be stored; it is tried again'),
    }),
  )

  // Time: deadlines, retention.
  whileListening(app, () =>
    createSweeper({
      ...{ jobs, events, groups, now, log },
      pollMs: SWEEP_POLLS * pollMs,
      eventRetentionMs: config.eventRetentionMs,
      operators: { audit, redrives, retentionMs: config.auditRetentionMs },
    }),
  )
  app.addHook('preClose', () => queue.close())

  // Ends of runs, to whoever wants to be told.
  const notices = whileListening(app, () =>
    config.notify === undefined
      ? undefined
      : createNotices({
          config: config.notify,
          deliveries,
          retentionMs: config.eventRetentionMs,
          closeMs: lifecycle.closeSocketsMs,
          onOutcome: metrics.noticeSent,
          now,
          random,
          pollMs,
          log,
        }),
  )

  // Failed jobs that operators have tried again.
  const redriver = whileListening(app, () =>
    createRedriver({
      ...{ redrives, audit, now, log },
      failed: failedJobs,
      submit: (command) => groups.submit(command),
      pollMs: REDRIVE_POLLS * pollMs,
    }),
  )

  // Sockets.
  const verify = config.jwt === undefined ? undefined : createTokenVerifier(config.jwt, { now })
  const clients = createClientAuth(verify, now)
  await app.register(openapi)
  await app.register(socketIo, { config, isClosing: lifecycle.isClosing, closeMs: lifecycle.closeSocketsMs })
  const connections = trackConnections(app, {
    refuse: socketIoCheck(requestCheck(config.corsOrigin)),
    maxUnsentBytes: config.maxWaitingBytes,
  })
  lifecycle.endConnections(connections)
  if (redis && config.redis) attachRedisAdapter(app.io, redis, config.redis.prefix, log)
  const limits = await registerRateLimits(app, {
    limits: config.rateLimit,
    clients,
    redis: redis?.publisher,
    prefix: config.redis?.prefix ?? 'chaptercast',
    onAway: (error) => log.warn({ err: error }, 'Redis does not answer: nobody is limited until it does'),
  })
  const auth = guardSockets(app.io, {
    verify,
    now,
    trustProxy: config.trustProxy,
    onError: (error) => log.error({ err: error }, 'a token could not be checked'),
  })
  const sessions = closedLast(
    app,
    createSessions({
      store: sessionStore,
      nodeId,
      ttlMs: config.sessionTtlMs,
      maxRooms: config.maxRoomsPerSocket,
      now,
      log,
    }),
  )
  const roomParts = {
    maxRooms: config.maxRoomsPerSocket,
    accessOf: (socket: ChapterSocket) => auth.identityOf(socket).access,
    limitJoin: (socket: ChapterSocket) => limits.join(auth.clientOf(socket)),
    sessions,
    log,
  }
  const rooms: ChapterRooms = closedLast(
    app,
    createChapterRooms({
      ...roomParts,
      feed,
      readPage,
      otherRooms: (socket) => courseRooms.count(socket),
    }),
  )
  const courseRooms = closedLast(
    app,
    createCourseRooms({ ...roomParts, feed: courseFeed, otherRooms: (socket) => rooms.count(socket) }),
  )
  serveSockets(app, { rooms, courses: courseRooms, auth, sessions, connections })

  telemetry?.exportMetrics(metrics.registry)

  // Requests.
  measureRequests(app, metrics)
  const waitingBefore = window && ((id: number) => window.waitingBefore(id, config.window.all > 0, now()))
  await app.register(chapterRoutes, {
    groups,
    chapters,
    waitingBefore,
    revisions,
    defaultLocale: config.defaultLocale,
    clients,
    createLimit: limits.create,
  })
  await app.register(revisionRoutes, { groups, chapters, revisions, clients })
  await app.register(watchTokenRoutes, { sign: createTokenSigner(config.jwt, now), chapters, clients })
  await app.register(eventRoutes, { connections, feed, readPage, clients })
  await app.register(courseRoutes, {
    groups,
    courses,
    feed: courseFeed,
    defaultLocale: config.defaultLocale,
    clients,
    limitCreates: limits.createMany,
    connections,
  })
  await app.register(webhookRoutes, {
    groups,
    texts,
    bodyLimitBytes: config.webhookBodyLimitBytes,
    isTrusted: config.webhookSecrets.length > 0,
    authenticate: webhookAuth(config.webhookSecrets),
    onAnswer: metrics.callbackAnswered,
    onMended: metrics.answerMended,
  })
  await app.register(adminRoutes, {
    ...{ groups, chapters, revisions, events, deliveries, redrives, audit, clients, publicUrl, now },
    waitingBefore,
    policy: generation,
    running: createRunningJobStore(database.db),
    failed: failedJobs,
    pauses: pauseStore,
    // If it cannot be read now, it is with the next look, as on every other node.
    onPausesChanged: async () =>
      pauses()
        ?.refresh()
        .catch(() => {}),
    countJobs: () => jobs.count({ now: now(), isWindowed: places !== undefined }),
    onRedrive: () => redriver()?.look(),
    isNotifying: config.notify !== undefined,
    corsOrigin: config.corsOrigin,
  })
  await app.register(healthRoutes, {
    isDraining: lifecycle.isDraining,
    probes,
    ...(queue.trouble === undefined ? {} : { troubles: { dispatch: queue.trouble } }),
  })
  await app.register(metricsRoute, { metrics })
  await app.register(page)

  app.addHook('onListen', async () => {
    const { description } = database
    const { dispatch, generator } = config
    log.info({ database: description, dispatch, generator }, `chaptercast is at ${publicUrl()}`)
    const open = whatIsOpen(config)
    if (open !== undefined) log.warn(open)
  })
  return app
}

interface Part {
  close(): Promise<void> | void
}

/** Closes the part after the server has; of several, the last one first. */
function closedLast<P extends Part>(app: FastifyInstance, part: P): P {
  app.addHook('onClose', async () => part.close())
  return part
}

/** Every request is a trace or goes on with one; the last metrics are sent while what they ask for is there. */
async function traceWith(app: FastifyInstance, telemetry: Telemetry): Promise<void> {
  app.addHook('preClose', async () => telemetry.leaving())
  await telemetry.traceRequests(app)
}

/** A part that runs from when the server listens until it stops taking requests. @returns the part while it runs */
function whileListening<P extends Part>(
  app: FastifyInstance,
  start: () => P | undefined,
): () => P | undefined {
  let part: P | undefined
  app.addHook('onListen', async () => {
    part = start()
  })
  app.addHook('preClose', async () => part?.close())
  return () => part
}

async function openServer(
  config: Config,
  { isClosing }: Lifecycle,
  { logger, buildSerializer }: Overrides,
): Promise<FastifyInstance> {
  const options = {
    config,
    isClosing,
    ...(logger === undefined ? {} : { logger }),
    ...(buildSerializer === undefined ? {} : { buildSerializer }),
  }
  return (await createHttpServer(options)) as unknown as FastifyInstance
}

async function openDatabase(config: Config, log: FastifyBaseLogger): Promise<Database> {
  return config.postgres === undefined
    ? await openEmbeddedDatabase(config.dataDir)
    : await openPostgres(config.postgres, log)
}

interface QueueParts {
  hold: JobStore['hold']
  open: OpenJobStore
  submit: CommitGroups['submit']
  metrics: () => Metrics
  lifecycle: Lifecycle
  tracing: Tracing | undefined
  now: () => number
  random: () => number
  log: FastifyBaseLogger
}

function openQueue(config: Config, parts: QueueParts): JobQueue {
  const { hold, now, log, lifecycle, metrics, tracing } = parts
  if (config.httpDispatch !== undefined)
    return createHttpQueue({
      ...parts,
      config: config.httpDispatch,
      policy: config.generation,
      bodyLimitBytes: config.webhookBodyLimitBytes,
      closeMs: lifecycle.closeSocketsMs,
      isDraining: lifecycle.isDraining,
      onAnswer: (kind, answer, isResult) => metrics().dispatchAnswered(kind, answer, isResult),
      onMended: (kind, how) => metrics().answerMended(kind, how),
    })
  if (config.kafka !== undefined) return createKafkaQueue({ kafka: config.kafka, log })
  if (config.generator === 'off') return createLocalQueue({ work: undefined, hold, now, log })
  const work = generatorWork(config, log, tracing)
  const isLimited = config.generator === 'openai'
  return createLocalQueue({
    work: isLimited ? limitWork(work, config.generatorConcurrency) : work,
    hold,
    now,
    log,
  })
}

/** With Kafka and a generator in this process: what it takes from the topics, as `npm run generator` does. */
function openConsumer(
  config: Config,
  { closeSocketsMs }: Lifecycle,
  log: FastifyBaseLogger,
  tracing: Tracing | undefined,
): (Part & { readonly passedOver: number }) | undefined {
  const { kafka, generator, generatorConcurrency: concurrency } = config
  if (kafka === undefined || generator === 'off') return undefined
  const consumer = createGeneratorConsumer({
    kafka,
    concurrency,
    log,
    work: generatorWork(config, log, tracing),
  })
  return {
    close: () => consumer.close(closeSocketsMs),
    get passedOver() {
      return consumer.passedOver
    },
  }
}

/** At most so many at once: a model serves only so many, and the rest must not time out in its queue. */
function limitWork(work: Work, size: number): Work {
  const semaphore = createSemaphore(size)
  return async (message, signal, traceparent) => {
    const release = await semaphore.take(signal)
    await work(message, signal, traceparent).finally(release)
  }
}

function generatorWork(config: Config, log: FastifyBaseLogger, tracing: Tracing | undefined): Work {
  return createWorker({
    model: chooseModel(config, log).model,
    webhookSecret: config.webhookSecrets[0],
    log,
    // The server’s own deadline comes first and is told of as a time-out.
    modelTimeoutMs: 2 * Math.max(config.generation.timeoutMs, config.openai?.silenceMs ?? 0),
    whenRunning: config.kafka === undefined ? 'skip' : 'throw',
    tracing,
  })
}

/** Whether this node hears its own heartbeat. On a half-open connection nothing answers, and nothing fails. */
function hearingProbe(bus: Bus): () => Promise<void> {
  return async () => {
    if (!bus.isHearing) throw new Error('Redis does not deliver')
  }
}

function endsRun({ events }: Committed): boolean {
  return events.some(({ name }) => isEndEvent(name))
}

function feedEntryOf({ state, events, isDeleted, trace }: Committed): FeedEntry {
  const { id, progressVersion: version, latestProgress: update } = state
  if (isDeleted) return { chapterId: id, events: [], progress: null, deleted: deletedMessage(state.locale) }
  const progress = update === null ? null : { version, update }
  return { chapterId: id, events, progress, ...(trace === undefined ? {} : { trace }) }
}

/** Of this node, in the chapter’s room. */
function socketsIn({ sockets }: ChapterIo, chapterId: number): ChapterSocket[] {
  const ids = [...(sockets.adapter.rooms.get(roomOf(chapterId)) ?? [])]
  return ids.flatMap((id) => sockets.sockets.get(id) ?? [])
}

function portOf(app: FastifyInstance): number | undefined {
  return (app.server.address() as AddressInfo | null)?.port
}
