/**
 * One run: some nodes on one store in memory, clients, workers and watchers, and faults, all by one seed. It ends when
 * enough was asked, everything is well again and nothing is under way; then all has to be as it was promised.
 */
import { type Random, seeded } from '../support/random.js'
import { createChecks } from './checks.js'
import { createClients } from './clients.js'
import { type Connection, MemoryStore } from './memory-store.js'
import { type NodeOptions, type SimulatedNode, startNode } from './node.js'
import { SimulatedRedis } from './redis.js'
import { createRequests } from './requests.js'
import { install, Life } from './time.js'
import { createWorkers } from './workers.js'
import { type Hazards, NO_HAZARDS, WEATHERS, World } from './world.js'

export interface RunOptions {
  seed: number
  /** About how many commands clients and workers give. */
  commands: number
  /** Without it the store in memory does not look at versions: a fault that has to be found. */
  checksVersion?: boolean
  /** Keeps the last steps in words. */
  isRecorded?: boolean
}

export interface RunReport {
  seed: number
  setting: string
  wrong: string[]
  counts: Record<string, number>
  /** Of simulated time. */
  seconds: number
  /** The same for two runs that are the same. */
  hash: number
  steps: readonly string[]
}

/** Whatever hangs is given up after that, of simulated time. */
const END_MS = 20 * 60_000
/** What comes by itself has come by then. */
const SETTLE_MS = { calm: 5000, honest: 10_000, rough: 30_000 }

export async function run(options: RunOptions): Promise<RunReport> {
  const random = seeded(options.seed * 7919 + 17)
  const world = new World(random, random.pick(WEATHERS), options.isRecorded === true)
  const giveBack = install(world.time, random)
  const unhandled = (error: unknown) => world.fault(`a promise was rejected, and nobody looked: ${error}`)
  process.on('unhandledRejection', unhandled)
  try {
    return await runIn(world, random, options)
  } finally {
    process.off('unhandledRejection', unhandled)
    giveBack()
  }
}

async function runIn(world: World, random: Random, options: RunOptions): Promise<RunReport> {
  const { time, weather } = world
  const size = 1 + random.below(4)
  const isLocal = random.chance(0.5)
  world.subscribeMs = random.pick([0, 0, 100, 400])
  const clocksMs = weather === 'rough' ? random.pick([0, 500, 2000, 90_000]) : random.pick([0, 500])
  if (clocksMs > 2000) world.trouble(Number.POSITIVE_INFINITY)
  const setting = `${weather}, ${size} nodes, ${isLocal ? 'local' : 'outside'} workers, clocks ${clocksMs} ms apart`

  const checks = createChecks({ world, clocksMs, hasLetters: !isLocal })
  const database = new Database(world)
  const store = new MemoryStore({
    connect: database.connect,
    whileWriting: (call) => time.after(random.chance(0.5) ? 0 : random() * 4, undefined, call),
    onSkipped: () => world.trouble(),
    onWritten: checks.written,
    onDeleted: checks.deleted,
    checksVersion: options.checksVersion ?? true,
  })
  const redis = new SimulatedRedis(world)
  const slots: SimulatedNode[] = []
  const nodes = () => {
    const alive = slots.filter(({ life }) => !life.isDead)
    return alive.length === 0 ? slots : alive
  }
  const requests = createRequests(world, checks, nodes)
  const workers = createWorkers({ world, requests, checks, onFinish: (id) => clients.hurry(id) })
  let started = 0
  const start = (slot: number) => {
    started += 1
    const name = `n${slot}.${started}`
    const life = new Life(name)
    const nodeOptions: NodeOptions = {
      ...{ name, world, store, redis, work: workers.workInside },
      clockAheadMs: Math.round((random() - 0.5) * clocksMs),
      queue: isLocal ? undefined : workers.queue,
      onError: (error, about) => world.fault(`${about}: ${error instanceof Error ? error.stack : error}`),
    }
    world.record('starts', name)
    time.owner = life
    slots[slot] = startNode(life, nodeOptions)
    time.owner = undefined
  }
  for (let slot = 0; slot < size; slot++) start(slot)

  const isOpen = () => (world.counts.commands ?? 0) < options.commands
  const count = 1 + random.below(4)
  const clients = createClients({ world, requests, checks, store, nodes, isOpen, count })
  clients.start()
  const faults = createFaults({ world, redis, database, slots, start, watchers: clients.watchers })
  faults.start()
  await time.runUntil(() => !isOpen() || time.now > END_MS)

  faults.end()
  const endAt = time.now + END_MS
  const isAtRest = () =>
    store.isAtRest && clients.busy === 0 && clients.watchers.every(({ isSettled }) => isSettled)
  let isChecked = 0
  await time.runUntil(() => (++isChecked % 50 === 0 && isAtRest()) || time.now > endAt)
  const settledAt = time.now + SETTLE_MS[weather]
  await time.runUntil(() => time.now > settledAt)

  checks.atTheEnd(store)
  for (const watcher of clients.watchers) {
    const fault = watcher.behind(store.rows.get(watcher.chapterId))
    if (fault !== undefined) world.fault(fault)
  }
  for (const crash of time.crashes)
    world.fault(`a process would have crashed: ${crash instanceof Error ? crash.stack : crash}`)
  return {
    ...{ seed: options.seed, setting, wrong: world.wrong, counts: { ...world.counts, steps: time.steps } },
    ...{ seconds: Math.round(time.now / 1000), hash: time.hash, steps: world.steps },
  }
}

/** How long it takes until a silent database is given up, ms. */
const ANSWER_MS = 6000

/** A node that is told to end is given so long, ms. */
const CLOSE_MS = 15_000

class Database {
  /** Refuses connections until then. */
  awayUntil = 0
  /** Answers nobody until then. */
  silentUntil = 0
  private readonly world: World

  constructor(world: World) {
    this.world = world
  }

  readonly connect: Connection = (name, statement) => {
    const { world } = this
    const { time, random, hazards } = world
    const life = time.owner
    return new Promise((resolve, reject) => {
      const answer = (call: () => void) => world.send(life, call)
      const fail = (code: string) => {
        world.trouble()
        world.record('fails', { statement: name, code })
        reject(Object.assign(new Error(`the database failed: ${code}`), { code }))
      }
      const runs = () =>
        statement(
          (value) => answer(() => resolve(value)),
          (error) => answer(() => reject(error)),
        )
      const runsUnheard = () =>
        statement(
          () => {},
          () => {},
        )
      world.send(undefined, () => {
        if (time.now < this.awayUntil) return answer(() => fail('ECONNREFUSED'))
        if (time.now < this.silentUntil) {
          if (random.chance(0.5)) time.after(random() * ANSWER_MS * 2, undefined, runsUnheard)
          time.after(ANSWER_MS, life, () => fail('ETIMEDOUT'))
          return
        }
        if (random() >= hazards.database) return runs()
        world.trouble()
        const way = random.below(4)
        // It had its effect, has it soon, or never will.
        if (way === 0) runsUnheard()
        if (way === 1) time.after(random() * 3000, undefined, runsUnheard)
        answer(() => fail(way === 2 && name === 'write' ? '40001' : 'CONNECTION_CLOSED'))
      })
    })
  }
}

interface FaultsOptions {
  world: World
  redis: SimulatedRedis
  database: Database
  slots: SimulatedNode[]
  start: (slot: number) => void
  watchers: { lost(node: SimulatedNode): void }[]
}

function createFaults({ world, redis, database, slots, start, watchers }: FaultsOptions) {
  const { time, random, weather } = world
  let isOver = false
  const waiting = new Set<number>()

  const startAgain = (slot: number, ms: number) => {
    waiting.add(slot)
    time.after(ms, undefined, () => {
      waiting.delete(slot)
      start(slot)
    })
  }
  const gone = (node: SimulatedNode) => {
    node.life.isDead = true
    for (const watcher of watchers) watcher.lost(node)
  }
  const anyNode = () => {
    const slot = random.below(slots.length)
    const node = slots[slot]
    return node === undefined || waiting.has(slot) ? undefined : { slot, node }
  }

  const FAULTS: Record<string, () => void> = {
    'Redis restarts': () => redis.restart(world.between(0, 8000)),
    'Redis is frozen': () => redis.freeze(world.between(500, 8000)),
    'a connection to Redis breaks': () => {
      const { clients } = redis
      if (clients.length > 0) random.pick(clients).break()
    },
  }
  const ROUGH_FAULTS: Record<string, () => void> = {
    ...FAULTS,
    'a connection to Redis is deaf': () => {
      const subscribers = [...redis.subscribers]
      if (subscribers.length > 0) random.pick(subscribers).isDeaf = true
    },
    'a node is killed': () => {
      const found = anyNode()
      if (found === undefined) return
      world.trouble()
      gone(found.node)
      startAgain(found.slot, world.between(200, 6000))
    },
    'a node is stopped': () => {
      const found = anyNode()
      if (found === undefined) return
      const ms = world.between(100, random.chance(0.3) ? 25_000 : 4000)
      found.node.life.stoppedUntil = time.now + ms
      world.trouble(ms + 5000)
    },
    'a node is restarted in order': () => {
      const found = anyNode()
      if (found === undefined) return
      const { slot, node } = found
      world.trouble(CLOSE_MS)
      waiting.add(slot)
      const end = () => {
        if (node.life.isDead) return
        gone(node)
        startAgain(slot, world.between(200, 2000))
      }
      time.after(0, node.life, () => {
        for (const watcher of watchers) watcher.lost(node)
        node.close().then(() => time.after(0, undefined, end), end)
      })
      // As the signal’s time-out does.
      time.after(CLOSE_MS, undefined, end)
    },
    'the database is away': () => {
      database.awayUntil = time.now + world.between(500, 12_000)
      world.trouble(database.awayUntil - time.now)
    },
    'the database is silent': () => {
      database.silentUntil = time.now + world.between(500, 9000)
      world.trouble(database.silentUntil - time.now + 2 * ANSWER_MS)
    },
  }

  function next(names: string[], everyMs: number): void {
    time.after(world.between(0, 2 * everyMs), undefined, () => {
      if (isOver) return
      const name = random.pick(names)
      world.record('FAULT', name)
      world.count('faults')
      const faults = weather === 'rough' ? ROUGH_FAULTS : FAULTS
      faults[name]?.()
      next(names, everyMs)
    })
  }

  return {
    start() {
      if (weather === 'calm') return
      if (weather === 'rough') world.hazards = hazardsOf(random)
      const names = Object.keys(weather === 'rough' ? ROUGH_FAULTS : FAULTS).filter(() => random.chance(0.6))
      if (names.length > 0) next(names, world.between(400, 4000))
    },
    /** Everything is well from now on. */
    end() {
      isOver = true
      world.hazards = NO_HAZARDS
      database.awayUntil = 0
      database.silentUntil = 0
      redis.heal()
    },
  }
}

function hazardsOf(random: Random): Hazards {
  const some = (most: number) => (random.chance(0.5) ? 0 : random() * most)
  return {
    database: some(0.1),
    busLoss: some(0.3),
    busRepeat: some(0.2),
    isBusUnordered: random.chance(0.5),
    queue: some(0.2),
    redelivery: some(0.2),
    request: some(0.1),
    forgetful: some(0.2),
  }
}
