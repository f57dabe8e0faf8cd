/**
 * The way between nodes: Socket.IO’s Redis adapter on ioredis, and everything that is known to go wrong with
 * them kept in this file. One event travels, `feed`: what a commit group wrote. Redis may lie, be late or be
 * gone: nothing here throws, waits or rejects, and what is lost the feed reads from the log.
 *
 * - The publisher never queues and never rejects; a frozen Redis empties its buffer within two seconds.
 * - The subscriber waits for ever and subscribes again after every reconnect; then rooms ask the log.
 * - A half-open connection is deaf without an error: a node must hear its own messages. If it misses them
 *   twice, the connection is made anew.
 * - The adapter checks nothing of what arrives; here every message is, and a bad one is counted and dropped.
 */

import { Type } from '@sinclair/typebox'
import { createAdapter } from '@socket.io/redis-adapter'
import type { FastifyBaseLogger } from 'fastify'
import { Redis, type RedisOptions } from 'ioredis'
import type { RedisConfig } from '../config/config.js'
import { compileCheck } from '../contract/validation.js'
import type { ChapterIo } from '../sockets/io.js'
import type { FeedEntry } from './feed.js'

/** How often a node proves that it hears, ms. */
const HEARING_MS = 1000
const MAX_MISSED = 2

export interface NodeBus {
  /** Tells every other node; may be lost. */
  publish(entries: FeedEntry[]): void
  /** For shared counters: fails fast, never queues. */
  readonly redis: Redis
  /** False from the second missed proof until messages are heard again. */
  readonly isHearing: boolean
  /** Messages that could not be sent, and that could not be used, since the start. */
  readonly counts: { unsent: number; unusable: number }
  /** Before Socket.IO closes: its adapter still says goodbye through these connections. */
  close(): void
}

export interface NodeBusOptions {
  config: RedisConfig
  io: ChapterIo
  onEntries: (entries: FeedEntry[]) => void
  /** Messages may have been missed until now. */
  onReconnect: () => void
  log: FastifyBaseLogger
}

export function connectNodeBus({ config, io, onEntries, onReconnect, log }: NodeBusOptions): NodeBus {
  const counts = { unsent: 0, unusable: 0 }
  const publisher = publishing(config.url, counts, log)
  const subscriber = subscribing(config.url, log)
  io.adapter(createAdapter(publisher, subscriber, { key: config.prefix }))
  guardListeners(subscriber, (error) => {
    counts.unusable += 1
    log.warn({ err: error }, 'a message of another node could not be used')
  })

  const checkEntries = compileCheck(Entries, 'feed')
  io.on(
    'feed' as never,
    ((entries: unknown) => {
      if (checkEntries(entries).length === 0) onEntries(entries as FeedEntry[])
      else {
        counts.unusable += 1
        log.warn('a message of another node has an unknown shape')
      }
    }) as never,
  )

  const emit = (entries: FeedEntry[]) => {
    try {
      ;(io.serverSideEmit as (name: string, entries: FeedEntry[]) => boolean).call(io, 'feed', entries)
    } catch (error) {
      counts.unsent += 1
      log.warn({ err: error }, 'other nodes could not be told; they read the log')
    }
  }

  const hearing = proveHearing(io, subscriber, () => emit([]), log)
  subscriber.on('ready', onReconnect)

  return {
    publish: emit,
    redis: publisher,
    get isHearing() {
      return hearing.isHearing
    },
    counts,
    close() {
      hearing.stop()
      publisher.disconnect()
      subscriber.disconnect()
    },
  }
}

const retryStrategy = (times: number): number =>
  Math.min(50 * 2 ** Math.min(times, 6), 2000) * (0.5 + Math.random() / 2)

/** Its types and `exactOptionalPropertyTypes` disagree on this one. */
type Options = Omit<RedisOptions, 'replyMapping'>

/** RESP2, with which the adapter was proved. */
const COMMON: Options = { protocol: 2, retryStrategy, connectTimeout: 5000, keepAlive: 5000 }

function publishing(url: string, counts: { unsent: number }, log: FastifyBaseLogger): Redis {
  const options: Options = {
    ...COMMON,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // The only option that empties its buffer when Redis freezes.
    socketTimeout: 2000,
  }
  const redis = new Redis(url, options)
  quietErrors(redis, 'publisher', log)
  const publish = redis.publish.bind(redis)
  // The adapter does not catch: a rejection here would end the process.
  redis.publish = (async (channel: string, message: string | Buffer) => {
    try {
      return await publish(channel, message)
    } catch {
      counts.unsent += 1
      return 0
    }
  }) as typeof redis.publish
  return redis
}

function subscribing(url: string, log: FastifyBaseLogger): Redis {
  const options: Options = {
    ...COMMON,
    maxRetriesPerRequest: null,
    enableOfflineQueue: true,
    autoResubscribe: true,
    autoResendUnfulfilledCommands: true,
  }
  const redis = new Redis(url, options)
  quietErrors(redis, 'subscriber', log)
  // Rejected only when the connection is closed for good, which the adapter does not catch either.
  for (const name of ['subscribe', 'psubscribe', 'unsubscribe', 'punsubscribe'] as const) {
    const command = redis[name].bind(redis) as (...args: unknown[]) => Promise<unknown>
    redis[name] = ((...args: unknown[]) => command(...args).catch(() => 0)) as never
  }
  return redis
}

/** An outage is one line at its beginning and one at its end, not one for each try. */
function quietErrors(redis: Redis, name: string, log: FastifyBaseLogger): void {
  let isDown = false
  redis.on('error', (error) => {
    if (!isDown) log.warn({ err: error }, `the Redis ${name} is not connected`)
    isDown = true
  })
  redis.on('ready', () => {
    if (isDown) log.info(`the Redis ${name} is connected again`)
    isDown = false
  })
}

/** Whatever the adapter’s listeners throw or reject with, they do not take the process along. */
function guardListeners(subscriber: Redis, onError: (error: unknown) => void): void {
  for (const name of ['messageBuffer', 'pmessageBuffer'] as const)
    for (const listener of subscriber.listeners(name)) {
      subscriber.off(name, listener as never)
      subscriber.on(name, ((...args: unknown[]) => {
        try {
          Promise.resolve((listener as (...args: unknown[]) => unknown)(...args)).catch(onError)
        } catch (error) {
          onError(error)
        }
      }) as never)
    }
}

/** A node’s own message, seen on the adapter’s channel: `serverSideEmit` never gives it to the node itself. */
function proveHearing(io: ChapterIo, subscriber: Redis, speak: () => void, log: FastifyBaseLogger) {
  const { uid, requestChannel } = io.of('/').adapter as unknown as { uid: string; requestChannel: string }
  const mark = Buffer.from(`"uid":"${uid}"`)
  const channel = Buffer.from(requestChannel)
  let hasHeard = true
  let missed = 0
  subscriber.on('messageBuffer', (on: Buffer, message: Buffer) => {
    if (hasHeard || !on.equals(channel) || !message.includes(mark)) return
    hasHeard = true
  })

  const timer = setInterval(() => {
    if (hasHeard) {
      if (missed >= MAX_MISSED) log.info('other nodes are heard again')
      missed = 0
    } else {
      missed += 1
      if (missed === MAX_MISSED) log.warn('Redis does not deliver; rooms are fed from the log')
      // One that thinks it is well needs to be told, and one that greets a silent server waits for ever; others
      // are being made anew already.
      if (missed % MAX_MISSED === 0 && ['ready', 'connect'].includes(subscriber.status))
        subscriber.disconnect(true)
    }
    hasHeard = false
    speak()
  }, HEARING_MS)

  return {
    get isHearing() {
      return missed < MAX_MISSED
    },
    stop: () => clearInterval(timer),
  }
}

/** What another node may send: its release may be another, so only what is used is asked for. */
const Entries = Type.Array(
  Type.Object({
    chapterId: Type.Integer({ minimum: 1 }),
    events: Type.Array(
      Type.Object({ name: Type.String(), payload: Type.Object({ seq: Type.Integer({ minimum: 1 }) }) }),
    ),
    progress: Type.Union([
      Type.Null(),
      Type.Object({ version: Type.Integer(), update: Type.Object({ progress: Type.Number() }) }),
    ]),
  }),
)
