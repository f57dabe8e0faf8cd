/**
 * How often a client may create and join, in windows of a minute that begin with the first try. Counted for the
 * token’s `sub`, else for the address; in Redis when there is one, so that all nodes count together, else here.
 *
 * With Redis away nothing is limited, and nothing waits for it: a command that is not answered at once counts as none,
 * and after one that failed Redis is left alone for a moment.
 */
import rateLimit, {
  type CreateRateLimitOptions,
  type FastifyRateLimitStoreCtor,
  type RateLimitOptions,
} from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { within } from '../async/deadline.js'
import { clientOf } from '../auth/client.js'
import type { Config } from '../config/config.js'
import { RateLimitedError } from '../errors.js'
import type { ClientAuth } from './auth.js'

/** As `config.rateLimit` of a route; `false` is no limit. */
export type RouteLimit = RateLimitOptions | false

export interface RateLimits {
  create: RouteLimit
  /**
   * Counts a request for many chapters, as that many.
   * @throws {RateLimitedError} and then fewer may have been counted
   */
  createMany: (request: FastifyRequest, chapters: number) => Promise<void>
  /**
   * Counts a join.
   * @throws {RateLimitedError}
   */
  join: (client: string) => Promise<void>
}

export interface RateLimitsOptions {
  limits: Config['rateLimit']
  clients: ClientAuth
  /** Shared with other uses; any options. undefined: this node counts alone. */
  redis?: Pick<Redis, 'multi' | 'status'> | undefined
  /** Of its keys. */
  prefix: string
  /** Told once when Redis stops answering; limits are open until it does again. */
  onAway: (error: unknown) => void
}

const WINDOW_MS = 60_000
/** How long Redis may take, ms. */
const REDIS_TIMEOUT_MS = 200
/** How long it is left alone after it failed, ms. */
const REDIS_PAUSE_MS = 1000
/** Clients that one node counts by itself; the least recent are forgotten. */
const LOCAL_CLIENTS = 100_000

/** Before the routes that are limited. */
export async function registerRateLimits(
  app: FastifyInstance,
  { limits, clients, redis, prefix, onAway }: RateLimitsOptions,
): Promise<RateLimits> {
  await app.register(rateLimit, {
    global: false,
    skipOnError: true,
    store: redis === undefined ? localStore() : redisStore(redis, prefix, onAway),
  })
  const window = { timeWindow: WINDOW_MS }
  const createKey = (request: FastifyRequest) => `create:${clientOf(clients.identityOf(request), request.ip)}`
  return {
    create: limits.createPerMinute > 0 && {
      ...window,
      max: limits.createPerMinute,
      keyGenerator: createKey,
      errorResponseBuilder: (_request, { ttl, max }) => tooOften('chapters', max, ttl),
    },
    createMany:
      limits.createPerMinute > 0
        ? manyLimit(app, { ...window, max: limits.createPerMinute, keyGenerator: createKey })
        : async () => {},
    join:
      limits.joinPerMinute > 0 ? joinLimit(app, { ...window, max: limits.joinPerMinute }) : async () => {},
  }
}

/** The same limiter outside HTTP: all that it asks of a request is its key. */
function joinLimit(
  app: FastifyInstance,
  options: CreateRateLimitOptions & { max: number },
): RateLimits['join'] {
  const keys = new WeakMap<object, string>()
  const check = app.createRateLimit({ ...options, keyGenerator: (request) => keys.get(request) as string })
  return async (client) => {
    const request = { routeOptions: {} }
    keys.set(request, `join:${client}`)
    const state = await check(request as Parameters<typeof check>[0])
    if (!state.isAllowed && state.isExceeded) throw tooOften('joins', options.max, state.ttl)
  }
}

/** The same limiter again, by the keys of single creates: they count together. */
function manyLimit(
  app: FastifyInstance,
  options: CreateRateLimitOptions & { max: number },
): RateLimits['createMany'] {
  const { max } = options
  const check = app.createRateLimit(options)
  return async (request, chapters) => {
    if (chapters > max)
      throw new RateLimitedError(
        `This request has ${chapters} chapters, and ${max} a minute are allowed; send fewer in each request`,
        WINDOW_MS / 1000,
      )
    for (let counted = 0; counted < chapters; counted += 1) {
      const state = await check(request)
      if (!state.isAllowed && state.isExceeded) throw tooOften('chapters', max, state.ttl)
    }
  }
}

function tooOften(what: string, max: number, ttlMs: number): RateLimitedError {
  const seconds = Math.max(1, Math.ceil(ttlMs / 1000))
  return new RateLimitedError(`${max} ${what} a minute are allowed; try again in ${seconds} s`, seconds)
}

/** Counts of this node alone, one for each key, whichever route counts. */
function localStore(): FastifyRateLimitStoreCtor {
  const windows = new Map<string, { current: number; endsAt: number }>()
  return class {
    incr(
      key: string,
      callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
      windowMs: number,
    ) {
      const now = performance.now()
      const known = windows.get(key)
      const window =
        known !== undefined && known.endsAt > now ? known : { current: 0, endsAt: now + windowMs }
      window.current += 1
      // The last one that counted is the last one to be forgotten.
      windows.delete(key)
      windows.set(key, window)
      const [oldest] = windows.keys()
      if (windows.size > LOCAL_CLIENTS && oldest !== undefined) windows.delete(oldest)
      callback(null, { current: window.current, ttl: window.endsAt - now })
    }
    child() {
      return this
    }
  }
}

function redisStore(
  redis: Pick<Redis, 'multi' | 'status'>,
  prefix: string,
  onAway: (error: unknown) => void,
): FastifyRateLimitStoreCtor {
  let pausedUntil = Number.NEGATIVE_INFINITY
  let isAway = false

  async function count(key: string, windowMs: number): Promise<{ current: number; ttl: number }> {
    if (performance.now() < pausedUntil) throw new Error('Redis did not answer a moment ago')
    try {
      // Otherwise it might wait in the client’s queue, and be counted when it no longer matters.
      if (redis.status !== 'ready') throw new Error(`Redis is not connected (${redis.status})`)
      const counting = redis.multi().set(key, 0, 'PX', windowMs, 'NX').incr(key).pttl(key).exec()
      const [, incr, pttl] = (await within(REDIS_TIMEOUT_MS, counting, 'Redis')) ?? []
      const [current, ttl] = [incr?.[1], pttl?.[1]]
      if (typeof current !== 'number' || typeof ttl !== 'number')
        throw incr?.[0] ?? pttl?.[0] ?? new Error('Redis gave no answer to a count')
      isAway = false
      return { current, ttl }
    } catch (error) {
      pausedUntil = performance.now() + REDIS_PAUSE_MS
      if (!isAway) onAway(error)
      isAway = true
      throw error
    }
  }

  return class {
    incr(
      key: string,
      callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
      windowMs: number,
    ) {
      count(`${prefix}:limit:${key}`, windowMs).then(
        (result) => callback(null, result),
        (error: Error) => callback(error),
      )
    }
    /** Keys say themselves what they count. */
    child() {
      return this
    }
  }
}
