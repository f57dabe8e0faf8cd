/**
 * Redis, and the connections to it as the bus uses ioredis (`src/feed/bus.ts`, `src/feed/redis.ts`): a publisher that
 * fails fast and a subscriber that waits. A message reaches whoever is subscribed at the moment at which Redis takes it,
 * over the connection that they have then. What comes over one connection keeps its order, unless the hazards say
 * otherwise.
 */
import type { RedisConnections } from '../../src/feed/redis.js'
import type { Life } from './time.js'
import type { World } from './world.js'

/** A frozen Redis is given up by publishers after that. */
const ANSWER_MS = 2000

export class SimulatedRedis {
  readonly subscribers = new Set<Subscriber>()
  readonly publishers = new Set<Publisher>()
  /** Refuses connections until then. */
  downUntil = 0
  /** Takes nothing until then, and breaks no connection. */
  frozenUntil = 0
  readonly world: World

  constructor(world: World) {
    this.world = world
  }

  connect(life: Life): RedisConnections {
    const publisher = new Publisher(this, life)
    const subscriber = new Subscriber(this, life)
    this.publishers.add(publisher)
    this.subscribers.add(subscriber)
    return {
      publisher: publisher as unknown as RedisConnections['publisher'],
      subscriber: subscriber as unknown as RedisConnections['subscriber'],
      close: () => {
        publisher.close()
        subscriber.close()
      },
    }
  }

  /** It is restarted: every connection breaks, and nobody is subscribed to anything. */
  restart(ms: number): void {
    this.downUntil = this.world.time.now + ms
    for (const client of this.clients) client.break()
  }

  freeze(ms: number): void {
    this.frozenUntil = this.world.time.now + ms
  }

  heal(): void {
    this.downUntil = 0
    this.frozenUntil = 0
    for (const subscriber of this.subscribers) subscriber.isDeaf = false
  }

  get clients(): (Publisher | Subscriber)[] {
    return [...this.subscribers, ...this.publishers].filter(({ life }) => !life.isDead)
  }

  take(channel: string, message: string): void {
    const { random, hazards } = this.world
    for (const subscriber of this.subscribers) {
      if (subscriber.life.isDead) this.subscribers.delete(subscriber)
      else if (subscriber.channels.has(channel)) {
        if (random() < hazards.busLoss) continue
        subscriber.deliver(channel, message)
        if (random() < hazards.busRepeat) subscriber.deliver(channel, message)
      }
    }
  }
}

/** One connection of a node; another one follows when it breaks. */
abstract class Client {
  status: 'ready' | 'connect' | 'reconnecting' | 'end' = 'ready'
  protected number = 0
  readonly life: Life
  protected readonly redis: SimulatedRedis
  private sentAt = 0
  private heardAt = 0

  constructor(redis: SimulatedRedis, life: Life) {
    this.redis = redis
    this.life = life
  }

  /** Runs at Redis, if this connection still is there then, in the order sent. */
  protected toRedis(moreMs: number, call: () => void): void {
    const { redis, number } = this
    const { time } = redis.world
    this.sentAt = Math.max(this.sentAt, time.now + redis.world.latency() + moreMs)
    const take = () => {
      if (time.now < redis.downUntil) return
      if (time.now < redis.frozenUntil) time.after(redis.frozenUntil - time.now, undefined, take)
      else if (number === this.number) call()
    }
    time.after(this.sentAt - time.now, undefined, take)
  }

  /** Runs at the node, if this connection still is there then, in the order sent. */
  protected toNode(call: () => void): void {
    const { redis, number } = this
    const { time, hazards } = redis.world
    const at = time.now + redis.world.latency()
    this.heardAt = hazards.isBusUnordered ? at : Math.max(this.heardAt, at)
    time.after(this.heardAt - time.now, this.life, () => {
      if (number === this.number && this.status !== 'end') call()
    })
  }

  break(): void {
    if (this.status === 'end' || this.life.isDead) return
    this.number += 1
    this.sentAt = 0
    this.heardAt = 0
    this.status = 'reconnecting'
    const { time } = this.redis.world
    const number = this.number
    time.after(1, this.life, () => this.lost())
    this.reconnect(number, this.redis.world.between(50, 300))
  }

  private reconnect(number: number, waitMs: number): void {
    const { redis, life } = this
    const { time } = redis.world
    time.after(waitMs, life, () => {
      if (number !== this.number || this.status === 'end') return
      if (time.now < redis.downUntil) {
        this.reconnect(number, redis.world.between(50, 2000))
        return
      }
      this.status = 'connect'
      time.after(Math.max(redis.frozenUntil - time.now, 0) + redis.world.latency(), life, () => {
        if (number !== this.number || this.status === 'end') return
        this.status = 'ready'
        this.ready()
      })
    })
  }

  close(): void {
    this.status = 'end'
    this.number += 1
  }

  /** What waited for an answer over the connection that broke. */
  protected abstract lost(): void
  protected abstract ready(): void
}

type PipelineResults = [error: Error | null, result: unknown][]

class Publisher extends Client {
  private readonly pending = new Set<(error: Error) => void>()

  pipeline() {
    const messages: [channel: string, message: string][] = []
    return {
      publish: (channel: string, message: string) => messages.push([channel, message]),
      exec: () => this.send(messages),
    }
  }

  private send(messages: [string, string][]): Promise<PipelineResults> {
    if (this.status !== 'ready') return Promise.reject(new Error('the connection is closed'))
    const { time } = this.redis.world
    return new Promise((resolve) => {
      const settle = (error: Error | null) => {
        this.pending.delete(settle)
        timer.call = undefined
        resolve(messages.map(() => [error, error === null ? 1 : undefined]))
      }
      const timer = time.after(ANSWER_MS, this.life, () => {
        if (this.pending.has(settle)) this.break()
      })
      this.pending.add(settle)
      this.toRedis(0, () => {
        for (const [channel, message] of messages) this.redis.take(channel, message)
        this.toNode(() => settle(null))
      })
    })
  }

  protected lost(): void {
    for (const settle of [...this.pending]) settle(new Error('the connection was lost'))
  }

  protected ready(): void {}
}

interface Command {
  isSubscribe: boolean
  names: string[]
  done: (count: number) => void
}

export class Subscriber extends Client {
  /** As Redis knows it. */
  readonly channels = new Set<string>()
  /** It looks open, and nothing comes over it. */
  isDeaf = false
  /** In the order given; sent again over the next connection when there is no answer. */
  private unanswered: Command[] = []
  private readonly listeners: { messageBuffer: Listener[]; ready: Listener[] } = {
    messageBuffer: [],
    ready: [],
  }

  constructor(redis: SimulatedRedis, life: Life) {
    super(redis, life)
    this.status = 'connect'
    redis.world.time.after(redis.world.latency(), life, () => {
      if (this.status !== 'connect') return
      this.status = 'ready'
      this.ready()
    })
  }

  on(name: string, listener: Listener): this {
    if (name === 'messageBuffer' || name === 'ready') this.listeners[name].push(listener)
    return this
  }

  subscribe(...names: string[]): Promise<number> {
    return this.command(true, names)
  }

  unsubscribe(...names: string[]): Promise<number> {
    return this.command(false, names)
  }

  disconnect(): void {
    this.break()
  }

  deliver(channel: string, message: string): void {
    this.toNode(() => {
      if (this.isDeaf) return
      for (const listener of this.listeners.messageBuffer)
        listener(Buffer.from(channel), Buffer.from(message))
    })
  }

  override break(): void {
    this.channels.clear()
    this.isDeaf = false
    super.break()
  }

  override close(): void {
    this.channels.clear()
    super.close()
    this.redis.subscribers.delete(this)
  }

  private command(isSubscribe: boolean, names: string[]): Promise<number> {
    return new Promise((done) => {
      const command = { isSubscribe, names, done }
      this.unanswered.push(command)
      if (this.status === 'ready') this.sendCommand(command)
    })
  }

  private sendCommand(command: Command): void {
    const { random, subscribeMs } = this.redis.world
    this.toRedis(random() * subscribeMs, () => {
      for (const name of command.names)
        if (command.isSubscribe) this.channels.add(name)
        else this.channels.delete(name)
      this.toNode(() => {
        if (this.isDeaf || !this.unanswered.includes(command)) return
        this.unanswered = this.unanswered.filter((each) => each !== command)
        command.done(command.names.length)
      })
    })
  }

  protected lost(): void {}

  protected ready(): void {
    for (const command of this.unanswered) this.sendCommand(command)
    for (const listener of this.listeners.ready) listener()
  }
}

type Listener = (...about: Buffer[]) => void
