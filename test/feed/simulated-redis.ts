/**
 * Redis between several nodes, and each node's bus on it, with chance in the place of the network. An entry reaches only
 * nodes whose channel is subscribed at the moment at which Redis takes it, over the connection that they had then.
 * Entries come late and in any order. There are three kinds of it:
 *
 * - `calm`: Subscribing takes a while, and joins wait for it. A channel stays subscribed for a moment after its room
 *   closed, and rooms open again in that moment. Nothing is ever missed.
 * - `breaking`: Joins do not wait as long as subscribing may take; then `onMissed` follows the confirmation. Connections
 *   break. What Redis takes meanwhile is not heard; when they are back, `onMissed` is said of every chapter. A publish
 *   fails; the other nodes hear of it later, as `onMissed`.
 * - `lossy`: In addition entries are lost and repeated, and nobody is told.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { BusListener } from '../../src/feed/bus.js'
import type { FeedEntry, FeedOptions } from '../../src/feed/feed.js'
import type { TextMessage } from '../../src/feed/texts.js'

export const WEATHERS = ['calm', 'breaking', 'lossy'] as const
export type Weather = (typeof WEATHERS)[number]

export interface Chance {
  random: () => number
  /** From a microtask to some milliseconds. */
  pause: (ms: number) => Promise<void>
}

/** How long a join waits for a confirmation, and a channel for its room to open again, ms. */
const CONFIRM_MS = { calm: 10_000, breaking: 60, lossy: 60 }
const LINGER_MS = 40
/** Some confirmations take so long, ms. */
const LATE_MS = 80

interface Channel {
  isOpen: boolean
  isConfirmed: boolean
  isOverdue: boolean
  confirmed: Promise<void>
}

type Sent = FeedEntry | { chapterId: number; text: TextMessage }

export class SimulatedRedis {
  readonly counts = { late: 0, reconnects: 0, failedPublishes: 0, reopened: 0, unheard: 0, lost: 0 }
  readonly buses: SimulatedBus[] = []
  readonly chance: Chance
  readonly weather: Weather

  constructor(chance: Chance, weather: Weather) {
    this.chance = chance
    this.weather = weather
  }

  connect(): SimulatedBus {
    const bus = new SimulatedBus(this)
    this.buses.push(bus)
    return bus
  }

  /** Redis takes an entry: whoever is subscribed now is sent it, and nobody else. */
  take(sender: SimulatedBus, entry: Sent): void {
    const { random } = this.chance
    const isLossy = this.weather === 'lossy'
    for (const bus of this.buses) {
      if (bus === sender) continue
      if (!bus.subscribed.has(entry.chapterId)) this.counts.unheard += 1
      else if (isLossy && random() < 0.2) this.counts.lost += 1
      else {
        const copies = isLossy && random() < 0.3 ? 2 : 1
        for (let copy = 0; copy < copies; copy++) void bus.receive(entry)
      }
    }
  }
}

export class SimulatedBus implements NonNullable<FeedOptions['bus']> {
  readonly isComplete = true
  /** As Redis knows it. */
  readonly subscribed = new Set<number>()
  private readonly channels = new Map<number, Channel>()
  private readonly redis: SimulatedRedis
  private listener: BusListener = { onEntry() {}, onMissed() {} }
  /** Commands of one connection take effect in the order given. */
  private commands: Promise<void> = Promise.resolve()
  private connected: Promise<void> = Promise.resolve()
  private connection = 0

  constructor(redis: SimulatedRedis) {
    this.redis = redis
  }

  publish(entries: FeedEntry[]): void {
    this.send(entries)
  }

  publishText(chapterId: number, text: TextMessage): void {
    this.send([{ chapterId, text }])
  }

  private send(entries: Sent[]): void {
    const { chance, counts, buses, weather } = this.redis
    if (weather !== 'calm' && chance.random() < 0.02) {
      counts.failedPublishes += 1
      const others = buses.filter((bus) => bus !== this)
      void chance.pause(30).then(() => {
        for (const bus of others) bus.listener.onMissed()
      })
      return
    }
    for (const entry of entries) void chance.pause(10).then(() => this.redis.take(this, entry))
  }

  listen(listener: BusListener): void {
    this.listener = listener
  }

  async subscribe(chapterId: number): Promise<void> {
    const known = this.channels.get(chapterId)
    if (known?.isOpen === false) this.redis.counts.reopened += 1
    const channel = known ?? this.open(chapterId)
    channel.isOpen = true
    if (channel.isConfirmed) return
    await Promise.race([channel.confirmed, delay(CONFIRM_MS[this.redis.weather], undefined, { ref: false })])
    if (!channel.isConfirmed) channel.isOverdue = true
  }

  unsubscribe(chapterId: number): void {
    const channel = this.channels.get(chapterId)
    if (channel === undefined) return
    channel.isOpen = false
    void this.leave(chapterId, channel)
  }

  /** Its connection breaks, unless it is calm; what was on its way to it is gone. */
  async breakConnection(): Promise<void> {
    const { chance, counts, weather } = this.redis
    if (weather === 'calm') return
    counts.reconnects += 1
    this.connection += 1
    this.subscribed.clear()
    let reconnect = () => {}
    this.connected = new Promise((resolve) => {
      reconnect = resolve
    })
    await chance.pause(30)
    // Those that are not confirmed too, as the bus does: their confirmation may be on its way, and is no longer true.
    for (const chapterId of this.channels.keys()) this.subscribed.add(chapterId)
    reconnect()
    await this.command(() => {})
    this.listener.onMissed()
  }

  async receive(entry: Sent): Promise<void> {
    const { connection } = this
    await this.redis.chance.pause(15)
    if (connection !== this.connection || !this.channels.has(entry.chapterId)) this.redis.counts.unheard += 1
    else if ('text' in entry) this.listener.onText?.(entry.chapterId, entry.text)
    else this.listener.onEntry(entry)
  }

  private open(chapterId: number): Channel {
    const { chance, counts } = this.redis
    const confirm = async (): Promise<void> => {
      if (chance.random() < 0.7) await chance.pause(LATE_MS)
      await this.command(() => this.subscribed.add(chapterId))
      channel.isConfirmed = true
      if (!channel.isOverdue) return
      counts.late += 1
      this.listener.onMissed(chapterId)
    }
    const channel: Channel = { isOpen: true, isConfirmed: false, isOverdue: false, confirmed: confirm() }
    this.channels.set(chapterId, channel)
    return channel
  }

  private async leave(chapterId: number, channel: Channel): Promise<void> {
    await this.redis.chance.pause(LINGER_MS)
    await channel.confirmed
    if (channel.isOpen || this.channels.get(chapterId) !== channel) return
    this.channels.delete(chapterId)
    await this.command(() => this.subscribed.delete(chapterId))
  }

  /** Resolves when Redis has done it and the answer is here; over the next connection if this one breaks. */
  private command(takeEffect: () => void): Promise<void> {
    const { chance } = this.redis
    const sent = chance.pause(12)
    this.commands = this.commands.then(async () => {
      await sent
      await this.connected
      takeEffect()
    })
    return this.commands.then(() => chance.pause(6))
  }
}
