/**
 * What a system costs. CPU is that of all nodes together, from the first request until the nodes are quiet again; the
 * driver's own is not in it. Phases, in order:
 *
 * 1. Warm up: chapters are created and finished, some with a socket in their room, until the code is compiled.
 * 2. Create chapters.
 * 3. Watchers join them, and their webhooks are called at random: costs and delays as in use.
 * 4. Every watcher joins the same few chapters, which are finished: what one delivered event costs.
 * 5. One webhook at a time: the delay of a system with nothing else to do.
 * 6. Many more sockets join: how fast, and how much memory each takes.
 * 7. Nothing happens: what idle sockets cost (where asked for).
 * 8. A node is killed: when its sockets are back (with several nodes).
 */
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '../support/condition.js'
import { seeded } from '../support/random.js'
import { cpuMsOf, cpuMsOfFamilies, memoryKibOf } from './cpu.js'
import { createChapter, finish, inParallel, KINDS, type Kind } from './driver.js'
import { type BenchSocket, openSocket } from './sockets.js'
import { endNode, type System } from './system.js'

export interface Plan {
  /** Chapters before anything is measured. */
  warm: number
  /** Chapters that are measured; three webhooks each. */
  chapters: number
  /** Sockets that watch them. */
  watchers: number
  /** Sockets that join afterwards and stay idle. */
  sockets: number
  /** How long idle sockets are measured, ms; 0: not at all. Engine.IO pings each every 25 s. */
  idleMs: number
}

/** By name; a measure that was not taken is `undefined`. Times in ms. */
export type Figures = Partial<Record<Measure, number>>

export const MEASURES = {
  createCpu: 'create: CPU ms',
  createServicesCpu: 'create: CPU ms of PostgreSQL and Redis',
  createsPerSecond: 'creates a second',
  webhookCpu: 'webhook: CPU ms',
  webhookServicesCpu: 'webhook: CPU ms of PostgreSQL and Redis',
  webhooksPerSecond: 'webhooks a second',
  deliveryP50: 'webhook to client under load: p50 ms',
  deliveryP99: 'webhook to client under load: p99 ms',
  aloneP50: 'webhook to client alone: p50 ms',
  deliveryCpu: 'delivered event: CPU ms',
  joinsPerSecond: 'sockets that connect and join, a second',
  joinCpu: 'socket that connects and joins: CPU ms',
  socketKib: 'memory a socket: KiB',
  idleCpu: '1,000 idle sockets: % of a core',
  backP50: 'node killed: its sockets are back, p50 ms',
  backMax: 'node killed: its sockets are back, last ms',
} as const
export type Measure = keyof typeof MEASURES

/** Requests in flight. */
const CONCURRENCY = 32
/** Sockets that connect at once. */
const CONNECTING = 64
const CROWDED_CHAPTERS = 8
const ALONE_WEBHOOKS = 60
const ROOMS = 100
const EVENT_LIMIT_MS = 60_000

export async function measure(system: System, servicePids: readonly number[], plan: Plan): Promise<Figures> {
  const { nodes } = system
  const pids = nodes.map(({ pid }) => pid)
  const urlOf = (index: number) => nodes[index % nodes.length]?.url ?? ''
  const figures: Figures = {}
  const sentAt = new Map<string, number>()
  const delays: number[] = []
  let delivered = 0
  const onEvent = (name: string, { chapter_id }: { chapter_id: number }) => {
    delivered += 1
    const sent = sentAt.get(`${chapter_id} ${name}`)
    if (sent !== undefined) delays.push(performance.now() - sent)
  }
  const create = (_: unknown, index: number) => createChapter(urlOf(index))
  const call = ({ chapterId, kind }: Webhook, index: number) => {
    sentAt.set(`${chapterId} ${kind}_completed`, performance.now())
    return finish(urlOf(index), chapterId, kind)
  }

  await warmUp()
  await quiet(pids)

  const creating = costOf(pids, servicePids)
  const chapterIds = await inParallel(Array.from({ length: plan.chapters }), CONCURRENCY, create)
  const created = await creating.end(plan.chapters)
  figures.createCpu = created.cpuMs
  figures.createServicesCpu = created.servicesCpuMs
  figures.createsPerSecond = created.perSecond

  const watchers = await inParallel(Array.from({ length: plan.watchers }), CONNECTING, async (_, index) => {
    const socket = await openSocket(urlOf(index + 1), { onEvent, nextUrl })
    await socket.join(chapterIds[index % chapterIds.length] ?? 0)
    return socket
  })
  const webhooks = shuffled(chapterIds.flatMap((chapterId) => KINDS.map((kind) => ({ chapterId, kind }))))
  await quiet(pids)
  // Each watcher hears three kinds, and that all are complete.
  const awaited = delivered + 4 * plan.watchers
  const finishing = costOf(pids, servicePids)
  await inParallel(webhooks, CONCURRENCY, call)
  const took = finishing.elapsed()
  await waitFor('every event', () => delivered >= awaited, { timeoutMs: EVENT_LIMIT_MS })
  const finished = await finishing.end(webhooks.length, took)
  figures.webhookCpu = finished.cpuMs
  figures.webhookServicesCpu = finished.servicesCpuMs
  figures.webhooksPerSecond = finished.perSecond
  figures.deliveryP50 = quantile(delays, 0.5)
  figures.deliveryP99 = quantile(delays, 0.99)

  figures.deliveryCpu = await crowd(finished.cpuMs)
  figures.aloneP50 = await alone()
  const idlers = await joinMany()
  if (plan.idleMs > 0) figures.idleCpu = await idle()
  if (nodes.length > 1) await killOne()
  for (const socket of [...watchers, ...idlers]) socket.close()
  return rounded(figures)

  async function warmUp(): Promise<void> {
    await inParallel(Array.from({ length: plan.warm }), CONCURRENCY, async (_, index) => {
      const chapterId = await createChapter(urlOf(index))
      const socket = index % 4 === 0 ? await openSocket(urlOf(index + 1)) : undefined
      await socket?.join(chapterId)
      await Promise.all(KINDS.map((kind, n) => finish(urlOf(index + n), chapterId, kind)))
      socket?.close()
    })
  }

  /** CPU ms of one delivered event: of what all webhooks of crowded rooms cost, less what webhooks alone cost. */
  async function crowd(webhookCpuMs: number): Promise<number> {
    const crowded = await inParallel(Array.from({ length: CROWDED_CHAPTERS }), CONCURRENCY, create)
    for (const chapterId of crowded)
      await inParallel(watchers, CONNECTING, (watcher) => watcher.join(chapterId))
    await quiet(pids)
    const before = delivered
    const events = 4 * crowded.length * watchers.length
    const delivering = costOf(pids, servicePids)
    for (const chapterId of crowded)
      for (const [index, kind] of KINDS.entries()) await finish(urlOf(index), chapterId, kind)
    await waitFor('every event', () => delivered - before >= events, { timeoutMs: EVENT_LIMIT_MS })
    const { cpuMs } = await delivering.end(1)
    return (cpuMs - 3 * crowded.length * webhookCpuMs) / events
  }

  async function alone(): Promise<number> {
    const times: number[] = []
    const ids = await inParallel(Array.from({ length: ALONE_WEBHOOKS }), CONCURRENCY, create)
    let heard: (() => void) | undefined
    const socket = await openSocket(urlOf(1), {
      onEvent: (name) => {
        if (name === 'concept_completed') heard?.()
      },
    })
    await inParallel(ids, 1, (id) => socket.join(id))
    await quiet(pids)
    for (const id of ids) {
      const event = new Promise<void>((resolve) => {
        heard = resolve
      })
      const since = performance.now()
      await Promise.all([event, finish(urlOf(0), id, 'concept')])
      times.push(performance.now() - since)
    }
    socket.close()
    return quantile(times, 0.5)
  }

  async function joinMany(): Promise<BenchSocket[]> {
    const rooms = await inParallel(Array.from({ length: ROOMS }), CONCURRENCY, create)
    await quiet(pids)
    const memoryBefore = memoryKibOf(pids)
    const joining = costOf(pids, servicePids)
    const sockets = await inParallel(Array.from({ length: plan.sockets }), CONNECTING, async (_, index) => {
      const socket = await openSocket(urlOf(index), { nextUrl })
      await socket.join(rooms[index % ROOMS] ?? 0)
      return socket
    })
    const { cpuMs, perSecond } = await joining.end(plan.sockets, joining.elapsed())
    figures.joinsPerSecond = perSecond
    figures.joinCpu = cpuMs
    figures.socketKib = (memoryKibOf(pids) - memoryBefore) / plan.sockets
    return sockets
  }

  async function idle(): Promise<number> {
    const before = cpuMsOf(pids)
    await delay(plan.idleMs)
    const share = (cpuMsOf(pids) - before) / plan.idleMs
    return (share * 100 * 1000) / (watchers.length + idlers.length)
  }

  /** The first node dies; requests are not what is measured. */
  async function killOne(): Promise<void> {
    const [victim] = nodes
    if (victim === undefined) return
    const moved = [...watchers, ...idlers].filter(({ url }) => url === victim.url)
    nodes.shift()
    const since = performance.now()
    await endNode(victim, 'SIGKILL')
    await waitFor('its sockets to be back', () => moved.every(({ joinedAt }) => joinedAt > since), {
      timeoutMs: EVENT_LIMIT_MS,
    })
    const times = moved.map(({ joinedAt }) => joinedAt - since)
    figures.backP50 = quantile(times, 0.5)
    figures.backMax = quantile(times, 1)
  }

  function nextUrl(): string {
    return urlOf(Math.floor(Math.random() * nodes.length))
  }
}

interface Webhook {
  chapterId: number
  kind: Kind
}

interface Cost {
  cpuMs: number
  servicesCpuMs: number
  perSecond: number
}

/** Begins to measure; `end` waits until the nodes are quiet and divides by the number of requests. */
function costOf(pids: readonly number[], servicePids: readonly number[]) {
  const since = performance.now()
  const cpuBefore = cpuMsOf(pids)
  const servicesBefore = cpuMsOfFamilies(servicePids)
  const elapsed = () => performance.now() - since
  return {
    elapsed,
    async end(count: number, tookMs = elapsed()): Promise<Cost> {
      await quiet(pids)
      return {
        cpuMs: (cpuMsOf(pids) - cpuBefore) / count,
        servicesCpuMs:
          servicePids.length === 0 ? Number.NaN : (cpuMsOfFamilies(servicePids) - servicesBefore) / count,
        perSecond: (1000 * count) / tookMs,
      }
    },
  }
}

const QUIET_MS = 250
const QUIET_SHARE = 0.1
const QUIET_LIMIT_MS = 10_000

/** Waits until what requests left behind (messages, marks, garbage) is done: a quarter of a second with little CPU. */
async function quiet(pids: readonly number[]): Promise<void> {
  const limit = performance.now() + QUIET_LIMIT_MS
  let used = Number.POSITIVE_INFINITY
  while (used > QUIET_MS * QUIET_SHARE * pids.length && performance.now() < limit) {
    const before = cpuMsOf(pids)
    await delay(QUIET_MS)
    used = cpuMsOf(pids) - before
  }
}

/** The same order in every run. */
function shuffled<Item>(items: Item[]): Item[] {
  const random = seeded(1)
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

function rounded(figures: Figures): Figures {
  const entries = Object.entries(figures).filter(([, value]) => Number.isFinite(value))
  return Object.fromEntries(entries.map(([name, value]) => [name, Number(value.toPrecision(3))]))
}
