/**
 * The generator as a Kafka consumer: takes messages of the three topics and has a worker answer them.
 *
 * Guarantees: at most `concurrency` jobs at once, in this process, over all partitions and within each, so
 * that a slow job holds nobody back until all places are taken; an offset is committed only when every
 * message before it is settled (its webhook was answered, or it never can be), so that what a killed process
 * had begun is delivered again; a message that nobody can work on (`message.ts`) is passed over, counted and
 * logged; Kafka may go away and come back at any time.
 *
 * One session with Kafka (open, until anything fails):
 * 1. Join the group. Whatever the new assignment takes away is no longer committed here; its jobs go on.
 * 2. Each batch hands its messages out one by one, as places get free, beating the group’s heart meanwhile.
 *    Working is not awaited: the fetching goes on, and with it the heartbeat, for jobs that take long.
 * 3. A message that comes again while its job still runs here (a rebalance, a new session) joins that job.
 * 4. On any crash, or when no heartbeat came for a while, the client is dropped and a new session opened.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Consumer, EachBatchPayload } from 'kafkajs'
import { abortable } from '../async/deadline.js'
import { keepConnected } from '../async/reconnecting.js'
import { repeat } from '../async/repeat.js'
import { createSemaphore } from '../async/semaphore.js'
import type { KafkaConfig } from '../config/config.js'
import { type GenerationMessage, TOPICS } from '../contract/generation.js'
import { JOB_KINDS } from '../contract/job.js'
import { createKafkaClient, ensureTopics, type KafkaLog, type OpenSocket } from '../dispatch/kafka.js'
import { createDelivery, type DeliveryOptions } from './delivery.js'
import { readMessage } from './message.js'
import { createOffsetTracker, type OffsetTracker } from './offset-tracker.js'

export interface GeneratorConsumer {
  /** Member of the group, and heard of a moment ago. */
  readonly isConsuming: boolean
  /** Jobs that are worked on or waited for. */
  readonly inFlight: number
  /** Messages that nobody can work on, since the start; one that is delivered again counts again. */
  readonly passedOver: number
  /**
   * Takes no more, lets jobs finish for `graceMs`, aborts the rest, commits what is done and leaves the group.
   * What was aborted is delivered again, to whoever is in the group then.
   */
  close(graceMs: number): Promise<void>
}

export interface GeneratorConsumerOptions extends Omit<DeliveryOptions, 'slots' | 'log'> {
  kafka: KafkaConfig
  /** Jobs at once. */
  concurrency: number
  log: KafkaLog
  openSocket?: OpenSocket
  /** How long after a killed process its partitions go to another; brokers want 6 s or more. */
  sessionTimeoutMs?: number
}

interface Session {
  consumer: Consumer
  positions: OffsetTracker
  /** Changes with every rebalance: what was fetched before is not to be begun after it. */
  generation: number
}

export const CONSUMER_GROUP = 'chaptercast-generator'

const HEARTBEAT_MS = 2000
/** How often a batch that waits for a place looks up. */
const TICK_MS = 1000
const TICK = 'tick'
const REBALANCE_TIMEOUT_MS = 20_000
const OPEN_TIMEOUT_MS = 60_000
/** Longer than a rebalance may take. */
const SILENCE_MS = 45_000
/** A fetch waits this long for messages; without partitions kafkajs sleeps as long. */
const FETCH_WAIT_MS = 500
/** kafkajs hands out that many partitions’ batches at once: all of them. */
const MAX_BATCHES = 1000
const COMMIT_EVERY_MS = 5000
const LEAVE_TIMEOUT_MS = 1500

export function createGeneratorConsumer(options: GeneratorConsumerOptions): GeneratorConsumer {
  const { kafka: config, concurrency, log, openSocket, sessionTimeoutMs = 15_000 } = options
  const topics = JOB_KINDS.map((kind) => `${config.topicPrefix}${TOPICS[kind]}`)
  const slots = createSemaphore(concurrency)
  const deliver = createDelivery({ ...options, slots })
  /** By topic, partition and offset; each resolves to whether the message is settled. */
  const jobs = new Map<string, Promise<boolean>>()
  /** Aborts: nothing more is begun. */
  const draining = new AbortController()
  const aborting = new AbortController()
  setMaxListeners(0, draining.signal, aborting.signal)
  let lastSignAt = Number.NEGATIVE_INFINITY
  let passedOver = 0

  const sessions = keepConnected<Session>({
    name: 'Kafka, for consuming,',
    openTimeoutMs: OPEN_TIMEOUT_MS,
    log,
    ...(options.random === undefined ? {} : { random: options.random }),
    open: openSession,
  })

  async function openSession(life: AbortSignal, lost: (error: unknown) => void): Promise<Session> {
    setMaxListeners(0, life)
    const { kafka } = createKafkaClient({ config, clientId: CONSUMER_GROUP, signal: life, log, openSocket })
    const admin = kafka.admin()
    await admin.connect()
    const missing = await ensureTopics(admin, config)
    if (missing !== undefined) log.debug({ err: missing }, 'topics could not be made')
    await admin.disconnect()

    const consumer = kafka.consumer({
      groupId: `${config.topicPrefix}${CONSUMER_GROUP}`,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      retry: { retries: 3, restartOnFailure: async () => false },
    })
    const session: Session = { consumer, positions: createOffsetTracker(), generation: 0 }
    const { CRASH, GROUP_JOIN, REBALANCING, HEARTBEAT, FETCH } = consumer.events
    const sign = () => {
      lastSignAt = performance.now()
    }
    consumer.on(HEARTBEAT, sign)
    consumer.on(FETCH, sign)
    consumer.on(CRASH, ({ payload }) => lost(payload.error))
    consumer.on(REBALANCING, () => {
      session.generation += 1
    })
    consumer.on(GROUP_JOIN, ({ payload }) => {
      sign()
      session.generation += 1
      session.positions.keep(payload.memberAssignment)
      log.info({ assignment: payload.memberAssignment }, 'joined the group of generators')
      commits.soon()
    })
    // kafkajs may wait for ever for a broker that went silent.
    const watch = setInterval(() => {
      if (performance.now() - lastSignAt > SILENCE_MS) lost(new Error(`no heartbeat for ${SILENCE_MS} ms`))
    }, TICK_MS).unref()
    life.addEventListener('abort', () => clearInterval(watch), { once: true })

    sign()
    await consumer.connect()
    await consumer.subscribe({ topics, fromBeginning: true })
    // Resolves when joined, and also when joining crashed, of which the event tells.
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: MAX_BATCHES,
      eachBatch: (payload) => takeBatch(session, payload, life),
    })
    return session
  }

  async function takeBatch(session: Session, payload: EachBatchPayload, life: AbortSignal): Promise<void> {
    const { batch, resolveOffset, heartbeat, isRunning } = payload
    const { topic, partition } = batch
    const { generation, positions } = session
    for (const { offset, value, headers } of batch.messages) {
      if (draining.signal.aborted) return
      const message = read(value, { topic, partition, offset })
      const key = `${topic}/${partition}/${offset}`
      const isNew = message !== undefined && !jobs.has(key)
      const release = isNew ? await takeSlot(heartbeat, life) : () => {}
      if (release === undefined) return
      if (!isRunning() || session.generation !== generation || draining.signal.aborted) return release()

      resolveOffset(offset)
      if (!positions.take(topic, partition, offset)) {
        release()
        continue
      }
      const settled =
        message === undefined
          ? Promise.resolve(true)
          : begin(key, message, release, headers?.traceparent?.toString())
      void settled.then((isSettled) => {
        if (!isSettled) return
        positions.finish(topic, partition, offset)
        commits.soon()
      })
    }
  }

  /**
   * A place for one more job; keeps the membership while it waits. undefined: there is nothing to begin any
   * more. Rejects as `heartbeat` does, when the group is rebalancing.
   */
  async function takeSlot(heartbeat: () => Promise<void>, life: AbortSignal) {
    const giveUp = new AbortController()
    const stop = () => giveUp.abort()
    for (const signal of [draining.signal, life]) {
      if (signal.aborted) return undefined
      signal.addEventListener('abort', stop, { once: true })
    }
    const slot = slots.take(giveUp.signal).catch(() => undefined)
    try {
      for (;;) {
        const tick = sleep<typeof TICK>(TICK_MS, TICK, { signal: giveUp.signal, ref: false }).catch(
          (): typeof TICK => TICK,
        )
        const taken = await Promise.race([slot, tick])
        if (taken !== TICK) return taken
        await heartbeat()
      }
    } catch (error) {
      void slot.then((release) => release?.())
      throw error
    } finally {
      for (const signal of [draining.signal, life]) signal.removeEventListener('abort', stop)
      giveUp.abort()
    }
  }

  function begin(
    key: string,
    message: GenerationMessage,
    release: () => void,
    traceparent: string | undefined,
  ): Promise<boolean> {
    const known = jobs.get(key)
    if (known !== undefined) {
      release()
      return known
    }
    const job = deliver(message, release, aborting.signal, traceparent)
      .then(
        () => true,
        () => false,
      )
      .finally(() => jobs.delete(key))
    jobs.set(key, job)
    return job
  }

  function read(value: Buffer | null, at: object): GenerationMessage | undefined {
    const { message, problems } = readMessage(value === null ? null : String(value))
    if (problems === undefined) return message
    passedOver += 1
    log.warn(
      { ...at, violations: problems.slice(0, 5) },
      'a message that cannot be worked on was passed over',
    )
    return undefined
  }

  async function commit(): Promise<void> {
    const session = sessions.current
    const offsets = session?.positions.uncommitted() ?? []
    if (session === undefined || offsets.length === 0) return
    await session.consumer.commitOffsets(offsets)
    session.positions.committed(offsets)
  }

  const commits = repeat(
    async () => {
      await commit()
      return false
    },
    COMMIT_EVERY_MS,
    (error) => log.debug({ err: error }, 'offsets were not committed; tried again'),
  )

  return {
    get isConsuming() {
      return sessions.state === 'open' && performance.now() - lastSignAt < SILENCE_MS
    },
    get inFlight() {
      return jobs.size
    },
    get passedOver() {
      return passedOver
    },
    async close(graceMs) {
      draining.abort(new Error('the generator is leaving'))
      const session = sessions.current
      try {
        // Paused, the fetching goes on without messages, and the heartbeat with it.
        session?.consumer.pause(topics.map((topic) => ({ topic })))
      } catch (error) {
        log.debug({ err: error }, 'the consumer was not running')
      }
      await abortable(Promise.all(jobs.values()), AbortSignal.timeout(graceMs)).catch(() => {})
      if (jobs.size > 0) log.warn({ jobs: jobs.size }, 'jobs were aborted; they are delivered again')
      aborting.abort(draining.signal.reason)
      await Promise.all(jobs.values())
      const leave = async () => {
        await commits.stop()
        await commit()
        await session?.consumer.disconnect()
      }
      await abortable(leave(), AbortSignal.timeout(LEAVE_TIMEOUT_MS)).catch((error) =>
        log.debug({ err: error }, 'the group was not left in order'),
      )
      await sessions.close()
    },
  }
}
