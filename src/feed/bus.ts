/**
 * The bus between nodes: what a commit group wrote travels on one Redis channel per chapter, and only nodes with somebody
 * in the chapter's room subscribe to it. A node hears nothing of other chapters.
 *
 * Redis pub/sub delivers at most once. Nothing here throws, waits without end or rejects. Instead the bus knows when
 * messages may have been missed, and says so (`onMissed`), so that the feed reads the log:
 *
 * - after a reconnect of the subscriber, and for a chapter whose subscription was confirmed late;
 * - while a node does not hear its own heartbeat: a half-open connection is deaf without an error. After two missed
 *   heartbeats the connection is made anew;
 * - while another node's heartbeat is missing: it died, or cannot publish, and may have committed since;
 * - when another node says in its heartbeat that a publish of its failed.
 *
 * Channels: `{prefix}:feed:{chapter id}` and `{prefix}:nodes` for heartbeats. A message is the sender's id and JSON.
 */
import { Type } from '@sinclair/typebox'
import type { FastifyBaseLogger } from 'fastify'
import { createBatcher } from '../async/batcher.js'
import { within } from '../async/deadline.js'
import { compileCheck } from '../contract/validation.js'
import type { FeedEntry } from './chapter-feed.js'
import type { RedisConnections } from './redis.js'

export interface Bus {
  /** Tells every other node that has somebody in these chapters' rooms; may be lost. */
  publish(entries: FeedEntry[]): void
  /**
   * Hears the chapter from now on. Resolves when Redis has confirmed it, or soon if Redis is away; then `onMissed`
   * follows the confirmation. May be called again.
   */
  subscribe(chapterId: number): Promise<void>
  /** Stops a while later: rooms often open again at once. */
  unsubscribe(chapterId: number): void
  /** Where messages go. Call it once, before the first subscription. */
  listen(listener: BusListener): void
  /** Whether this node hears its own heartbeat. */
  readonly isHearing: boolean
  /** Whether every message of every known node can be expected to arrive. */
  readonly isComplete: boolean
  /** Since the start. */
  readonly counts: { unsent: number; unusable: number; received: number }
  close(): void
}

export interface BusListener {
  onEntry: (entry: FeedEntry) => void
  /** Messages may have been missed: of this chapter, or of any. */
  onMissed: (chapterId?: number) => void
}

export interface BusOptions {
  redis: RedisConnections
  prefix: string
  /** Of this process. */
  nodeId: string
  log: FastifyBaseLogger
  /** How long a channel stays subscribed after its room closed, ms. */
  lingerMs?: number
}

const HEARTBEAT_MS = 1000
/** Heartbeats in a row that may be missed before messages count as missed. */
const MAX_MISSED = 2
/** Then a silent node counts as dead. What it wrote last has been read from the log. */
const FORGET_AFTER_MISSED = 300
/** How long a join waits for Redis to confirm a subscription, ms. */
const CONFIRM_MS = 500
const LINGER_MS = 5000
/** Of one command. */
const MAX_CHANNELS = 1000

interface Channel {
  isConfirmed: boolean
  /** Somebody went on before it was confirmed. */
  isOverdue: boolean
  confirmed: Promise<unknown>
  /** When its room closed, by `performance.now()`; undefined while it is open. */
  closedAt: number | undefined
}

interface Heartbeat {
  /** A publish failed since the last one that arrived. */
  failed?: boolean
  /** The node is leaving; nobody needs to wait for it. */
  leaving?: boolean
}

export function createBus({ redis, prefix, nodeId, log, lingerMs = LINGER_MS }: BusOptions): Bus {
  const { publisher, subscriber } = redis
  const counts = { unsent: 0, unusable: 0, received: 0 }
  const feedPrefix = `${prefix}:feed:`
  const feedPrefixBytes = Buffer.from(feedPrefix)
  const nodesChannel = `${prefix}:nodes`
  const nodesChannelBytes = Buffer.from(nodesChannel)
  const ownId = Buffer.from(nodeId)
  const checkEntry = compileCheck(Entry, 'feed')
  const channels = new Map<number, Channel>()
  /** Heartbeats missed in a row, by node, this one included. */
  const missed = new Map<string, number>([[nodeId, 0]])
  let listener: BusListener = { onEntry() {}, onMissed() {} }
  let hasFailed = false

  const confirm = createBatcher(async (chapterIds: number[]) => {
    await subscriber.subscribe(...chapterIds.map((id) => feedPrefix + id))
    return chapterIds.map(() => undefined)
  }, MAX_CHANNELS)

  /** One write for all of them. */
  function send(messages: [channel: string, body: string][]): void {
    const fail = (error: unknown) => {
      counts.unsent += messages.length
      hasFailed = true
      log.debug({ err: error }, 'other nodes could not be told; they read the log')
    }
    if (publisher.status !== 'ready') {
      fail(new Error(`Redis is ${publisher.status}`))
      return
    }
    const pipeline = publisher.pipeline()
    for (const [channel, body] of messages) pipeline.publish(channel, nodeId + body)
    pipeline.exec().then((results) => {
      const error = results?.find(([failure]) => failure !== null)?.[0]
      if (error !== undefined) fail(error)
    }, fail)
  }

  function sendHeartbeat(about: Heartbeat = {}): void {
    const failed = hasFailed ? { failed: true } : {}
    hasFailed = false
    send([[nodesChannel, JSON.stringify({ ...failed, ...about } satisfies Heartbeat)]])
  }

  function receive(channel: Buffer, message: Buffer): void {
    const isOwn = message.subarray(0, ownId.length).equals(ownId)
    if (channel.equals(nodesChannelBytes)) {
      const sender = message.toString('utf8', 0, ownId.length)
      noteHeartbeat(sender, JSON.parse(message.toString('utf8', ownId.length)) as Heartbeat)
    } else if (channel.subarray(0, feedPrefixBytes.length).equals(feedPrefixBytes)) {
      const chapterId = Number(channel.toString('utf8', feedPrefixBytes.length))
      counts.received += 1
      // A reconnect restored a subscription that is no longer wanted.
      if (!channels.has(chapterId)) void subscriber.unsubscribe(feedPrefix + chapterId)
      else if (!isOwn) receiveEntry(message.toString('utf8', ownId.length))
    }
  }

  function receiveEntry(text: string): void {
    const entry: unknown = JSON.parse(text)
    if (checkEntry(entry).length > 0) throw new Error('a message of another node has an unknown shape')
    listener.onEntry(entry as FeedEntry)
  }

  function noteHeartbeat(sender: string, { failed, leaving }: Heartbeat): void {
    const before = missed.get(sender) ?? 0
    if (leaving === true && sender !== nodeId) missed.delete(sender)
    else missed.set(sender, 0)
    if (before >= MAX_MISSED || failed === true) listener.onMissed()
    if (before >= MAX_MISSED && sender === nodeId) log.info('other nodes are heard again')
  }

  subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) => {
    try {
      receive(channel, message)
    } catch (error) {
      counts.unusable += 1
      log.warn({ err: error }, 'a message of another node could not be used')
    }
  })
  // Every channel again: ioredis forgets what waited in its queue when Redis refused a connection. Confirmed in order,
  // so the last one says that all are.
  subscriber.on('ready', () => {
    const all = [...channels.keys()]
    for (let start = 0; start < all.length; start += MAX_CHANNELS)
      void subscriber.subscribe(...all.slice(start, start + MAX_CHANNELS).map((id) => feedPrefix + id))
    void subscriber.subscribe(nodesChannel).then(() => {
      sendHeartbeat()
      listener.onMissed()
    })
  })

  const heartbeat = setInterval(() => {
    for (const [node, count] of missed) {
      missed.set(node, count + 1)
      if (node !== nodeId) {
        if (count + 1 > FORGET_AFTER_MISSED) missed.delete(node)
      } else if (count >= MAX_MISSED) reconnectDeaf(count)
    }
    sendHeartbeat()
  }, HEARTBEAT_MS)

  function reconnectDeaf(count: number): void {
    if (count === MAX_MISSED) log.warn('Redis does not deliver; rooms are fed from the log')
    // A connection that looks healthy, or that waits for the first answer of a silent server, would wait for ever. In
    // other states ioredis reconnects by itself.
    if (count % MAX_MISSED === 0 && ['ready', 'connect'].includes(subscriber.status))
      subscriber.disconnect(true)
  }

  const closing = setInterval(() => {
    const before = performance.now() - lingerMs
    const closed = [...channels].filter(
      ([, { closedAt, isConfirmed }]) => isConfirmed && closedAt !== undefined && closedAt < before,
    )
    for (const [chapterId] of closed) channels.delete(chapterId)
    for (let start = 0; start < closed.length; start += MAX_CHANNELS)
      void subscriber.unsubscribe(
        ...closed.slice(start, start + MAX_CHANNELS).map(([chapterId]) => feedPrefix + chapterId),
      )
  }, lingerMs / 2)

  function open(chapterId: number): Channel {
    const channel: Channel = {
      isConfirmed: false,
      isOverdue: false,
      closedAt: undefined,
      confirmed: confirm(chapterId).then(() => {
        channel.isConfirmed = true
        if (channel.isOverdue) listener.onMissed(chapterId)
      }),
    }
    channels.set(chapterId, channel)
    return channel
  }

  return {
    publish(entries) {
      if (entries.length > 0)
        send(entries.map((entry) => [feedPrefix + entry.chapterId, JSON.stringify(entry)]))
    },
    async subscribe(chapterId) {
      const channel = channels.get(chapterId) ?? open(chapterId)
      channel.closedAt = undefined
      if (channel.isConfirmed) return
      if (this.isHearing && subscriber.status === 'ready')
        await within(CONFIRM_MS, channel.confirmed, 'Redis').catch(() => {})
      if (!channel.isConfirmed) channel.isOverdue = true
    },
    unsubscribe(chapterId) {
      const channel = channels.get(chapterId)
      if (channel !== undefined) channel.closedAt = performance.now()
    },
    listen(added) {
      listener = added
    },
    get isHearing() {
      return (missed.get(nodeId) ?? 0) <= MAX_MISSED
    },
    get isComplete() {
      for (const count of missed.values()) if (count > MAX_MISSED) return false
      return true
    },
    counts,
    close() {
      clearInterval(heartbeat)
      clearInterval(closing)
      sendHeartbeat({ leaving: true })
    },
  }
}

/** What another node may send. It may run another release, so only the fields that are used are checked. */
const Entry = Type.Object({
  chapterId: Type.Integer({ minimum: 1 }),
  events: Type.Array(
    Type.Object({ name: Type.String(), payload: Type.Object({ seq: Type.Integer({ minimum: 1 }) }) }),
  ),
  progress: Type.Union([
    Type.Null(),
    Type.Object({ version: Type.Integer(), update: Type.Object({ progress: Type.Number() }) }),
  ]),
})
