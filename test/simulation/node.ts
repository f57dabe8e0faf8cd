/**
 * One node: the parts of the program that are the core, put together as `src/app.ts` does it, with a simulated database,
 * Redis and queue behind them.
 */
import type { FastifyBaseLogger } from 'fastify'
import { ANYONE } from '../../src/auth/access.js'
import { type CommitGroups, type Committed, createCommitGroups } from '../../src/chapters/commit-group.js'
import type { GenerationPolicy } from '../../src/config/config.js'
import type { GenerationMessage } from '../../src/contract/generation.js'
import { roomOf } from '../../src/contract/socket.js'
import { createDispatcher, LEASE_MS } from '../../src/dispatch/dispatcher.js'
import { createLocalQueue } from '../../src/dispatch/local-queue.js'
import { dueJobOf } from '../../src/dispatch/message.js'
import type { JobQueue } from '../../src/dispatch/queue.js'
import { deletedMessage } from '../../src/domain/messages.js'
import { createBus } from '../../src/feed/bus.js'
import { createPageReader } from '../../src/feed/catch-up.js'
import { createFeed, type FeedEntry } from '../../src/feed/feed.js'
import type { ChapterSocket } from '../../src/sockets/chapter-io.js'
import { type ChapterRooms, createChapterRooms } from '../../src/sockets/rooms.js'
import { createSweeper } from '../../src/timers/sweeper.js'
import type { MemoryStore } from './memory-store.js'
import type { SimulatedRedis } from './redis.js'
import type { Life } from './time.js'
import type { FakeSocket } from './watchers.js'
import type { World } from './world.js'

/** Every duration is a fraction of what is usual, so that much happens in a minute. */
export const POLICY: GenerationPolicy = Object.freeze({
  timeoutMs: 20_000,
  queueTimeoutMs: 30_000,
  heartbeatMs: 8000,
  maxAttempts: 3,
  retryBaseMs: 500,
  retryMaxMs: 4000,
  patienceMs: 40_000,
  quizMinShare: 0.6,
  maxRevisions: 20,
})
const POLL_MS = 500
const NEVER_MS = 1_000_000_000

export interface NodeOptions {
  name: string
  /** How far its clock is ahead, ms. */
  clockAheadMs: number
  world: World
  store: MemoryStore
  redis: SimulatedRedis
  /** undefined: jobs are worked on in the node’s own process. */
  queue: (() => JobQueue) | undefined
  work: (message: GenerationMessage, signal: AbortSignal) => Promise<void>
  onError: (error: unknown, about: string) => void
}

export interface SimulatedNode {
  life: Life
  groups: CommitGroups
  rooms: ChapterRooms
  /** By the name of the room. */
  sockets: Map<string, Set<FakeSocket>>
  /** No new work; what is under way is done, and then the process ends. */
  close(): Promise<void>
}

const SILENT = Object.fromEntries(
  ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, () => {}]),
) as unknown as FastifyBaseLogger

/** Call it as a step of this life. */
export function startNode(life: Life, options: NodeOptions): SimulatedNode {
  const { world, store, redis, clockAheadMs, onError } = options
  const { time, random } = world
  const { jobs, events, chapters } = store
  const now = () => time.clock + clockAheadMs
  const log = SILENT
  let ids = 0
  const newId = () => {
    ids += 1
    return `${options.name.padStart(8, '0')}-0000-4000-8000-${String(ids).padStart(12, '0')}`
  }

  const connections = redis.connect(life)
  const bus = createBus({ redis: connections, prefix: 'cc', nodeId: newId(), log })
  const sockets = new Map<string, Set<FakeSocket>>()
  const feed = createFeed({
    events,
    bus,
    toRoom(chapterId, name, payload) {
      for (const socket of sockets.get(roomOf(chapterId)) ?? []) socket.emit(name, payload)
    },
    emptyRoom: (chapterId, message) =>
      rooms.leaveDeleted(
        [...(sockets.get(roomOf(chapterId)) ?? [])] as unknown as ChapterSocket[],
        chapterId,
        message,
      ),
    deletedMessage: deletedMessage('en'),
    // Nothing is lost in silence there, so nothing has to be found by asking again and again.
    ...(world.weather === 'rough' ? {} : { repairMs: NEVER_MS }),
    onError: () => world.count('failed reads'),
  })
  const rooms = createChapterRooms({
    feed,
    readPage: createPageReader(events),
    otherRooms: () => 0,
    maxRooms: 100,
    accessOf: () => ANYONE.access,
    limitJoin: async () => {},
    sessions: { remember: () => undefined, leaveRoom() {}, end() {} },
    log,
  })

  const queue = options.queue?.() ?? createLocalQueue({ work: options.work, hold: jobs.hold, now, log })
  const dispatcher = createDispatcher({
    queue,
    jobs,
    now,
    queueTimeoutMs: POLICY.queueTimeoutMs,
    publicUrl: () => 'http://node',
    pollMs: POLL_MS,
    log,
  })
  const groups = createCommitGroups({
    store: chapters,
    policy: POLICY,
    now,
    random,
    newId,
    leaseMs: LEASE_MS,
    onError,
    onCommit(committed) {
      feed.publish(committed.map(feedEntryOf))
      dispatcher.offer(
        committed.flatMap(({ state, dueKinds }) => dueKinds.map((kind) => dueJobOf(state, kind))),
      )
      if (committed.some(({ isMoreDue }) => isMoreDue)) dispatcher.look()
      if (committed.some(({ deadLetters }) => deadLetters.length > 0)) dispatcher.offerDeadLetters()
    },
  })
  const sweeper = createSweeper({
    ...{ jobs, events, groups, now, log },
    pollMs: POLL_MS,
    eventRetentionMs: NEVER_MS,
  })

  return {
    life,
    groups,
    rooms,
    sockets,
    async close() {
      await Promise.all([dispatcher.close(), sweeper.close(), queue.close()])
      await rooms.close()
      await groups.close()
      await feed.close()
      bus.close()
      connections.close()
    },
  }
}

function feedEntryOf({ state, events, isDeleted }: Committed): FeedEntry {
  const { id, progressVersion: version, latestProgress: update } = state
  if (isDeleted) return { chapterId: id, events: [], progress: null, deleted: deletedMessage(state.locale) }
  return { chapterId: id, events, progress: update === null ? null : { version, update } }
}
