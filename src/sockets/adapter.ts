/**
 * Socket.IO's Redis adapter, for everything between nodes except chapters' events: `io.to(…).emit`,
 * `disconnectSockets`, and emitters of other programs. Chapters' events travel on the feed's own channels
 * (`feed/bus.ts`).
 *
 * The adapter catches nothing: a rejected publish or a malformed message would end the process. Here both are caught,
 * counted and logged.
 */
import { createAdapter } from '@socket.io/redis-adapter'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import type { RedisConnections } from '../feed/redis.js'
import type { ChapterIo } from './chapter-io.js'

export function attachRedisAdapter(
  io: ChapterIo,
  { publisher, subscriber }: RedisConnections,
  prefix: string,
  log: FastifyBaseLogger,
): void {
  const others = new Map(LISTENED.map((name) => [name, new Set(subscriber.listeners(name))]))
  io.adapter(createAdapter(neverRejecting(publisher, log), subscriber, { key: prefix }))
  for (const name of LISTENED)
    for (const listener of subscriber.listeners(name)) {
      if (others.get(name)?.has(listener)) continue
      subscriber.off(name, listener as never)
      subscriber.on(name, guarded(name, listener as Listener, prefix, log) as never)
    }
}

const LISTENED = ['messageBuffer', 'pmessageBuffer'] as const
type Listener = (...args: unknown[]) => unknown

function neverRejecting(publisher: Redis, log: FastifyBaseLogger): Redis {
  return new Proxy(publisher, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (name !== 'publish') return value.bind(target)
      return (channel: string, message: string | Buffer) =>
        target.publish(channel, message).catch((error: unknown) => {
          log.debug({ err: error }, 'Socket.IO could not tell other nodes')
          return 0
        })
    },
  })
}

/**
 * The adapter's own channels begin with its key and a dash. Without this check it would read all other messages too.
 */
function guarded(
  name: (typeof LISTENED)[number],
  listener: Listener,
  prefix: string,
  log: FastifyBaseLogger,
) {
  const own = Buffer.from(`${prefix}-`)
  const onError = (error: unknown) => log.warn({ err: error }, 'a message of Socket.IO could not be used')
  return (...args: unknown[]) => {
    if (name === 'messageBuffer' && !(args[0] as Buffer).subarray(0, own.length).equals(own)) return
    try {
      Promise.resolve(listener(...args)).catch(onError)
    } catch (error) {
      onError(error)
    }
  }
}
