/**
 * The two Redis connections of a node, and what is known to go wrong with ioredis kept in this file.
 *
 * - The publisher never queues and never rejects; a frozen Redis empties its buffer within two seconds.
 * - The subscriber waits without end and subscribes again after every reconnect.
 */
import type { FastifyBaseLogger } from 'fastify'
import { Redis, type RedisOptions } from 'ioredis'
import { backoffMs } from '../async/backoff.js'
import type { RedisConfig } from '../config/config.js'

export interface RedisConnections {
  /** For publishing and shared counters: fails fast, never queues. */
  readonly publisher: Redis
  readonly subscriber: Redis
  /** Close it after the Socket.IO adapter, which still sends through these connections. */
  close(): void
}

export function connectRedis({ url }: Pick<RedisConfig, 'url'>, log: FastifyBaseLogger): RedisConnections {
  const publisher = connectPublisher(url, log)
  const subscriber = connectSubscriber(url, log)
  return {
    publisher,
    subscriber,
    close() {
      publisher.disconnect()
      subscriber.disconnect()
    },
  }
}

const LEAST_WAIT_MS = 50
const BACKOFF = { retryBaseMs: 100, retryMaxMs: 2000 }
const retryStrategy = (times: number): number => LEAST_WAIT_MS + backoffMs(times + 1, BACKOFF, Math.random)

/** Its types and `exactOptionalPropertyTypes` disagree on this one. */
type Options = Omit<RedisOptions, 'replyMapping'>

/** RESP2: the adapter was tested with it. */
const COMMON: Options = { protocol: 2, retryStrategy, connectTimeout: 5000, keepAlive: 5000 }

function connectPublisher(url: string, log: FastifyBaseLogger): Redis {
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
  return redis
}

function connectSubscriber(url: string, log: FastifyBaseLogger): Redis {
  const options: Options = {
    ...COMMON,
    maxRetriesPerRequest: null,
    enableOfflineQueue: true,
    autoResubscribe: true,
    autoResendUnfulfilledCommands: true,
  }
  const redis = new Redis(url, options)
  quietErrors(redis, 'subscriber', log)
  // These reject only when the connection is closed for good. The Socket.IO adapter does not catch that.
  for (const name of ['subscribe', 'psubscribe', 'unsubscribe', 'punsubscribe'] as const) {
    const command = redis[name].bind(redis) as (...args: unknown[]) => Promise<unknown>
    redis[name] = ((...args: unknown[]) => command(...args).catch(() => 0)) as never
  }
  return redis
}

/** Logs one line when an outage begins and one when it ends, not one for each try. */
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
