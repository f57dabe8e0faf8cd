/**
 * The queue in Kafka: messages exactly as `contract/generation.ts` has them, kept by the brokers once
 * `publish` has resolved.
 *
 * One producer per node, acknowledged by every replica in sync, not idempotent (kafkajs would retry for
 * ever). A send ends by its caller’s deadline, whatever the brokers do: then the producer is dropped with its
 * connections, and another one is opened in the background for as long as it takes. While there is none,
 * `capacity` is 0, so that jobs stay in the database, and sends fail at once between attempts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Admin, Partitioners, type Producer, type TopicMessages } from 'kafkajs'
import { backoffMs } from '../async/backoff.js'
import { abortable } from '../async/deadline.js'
import { keepConnected } from '../async/reconnecting.js'
import type { KafkaConfig } from '../config/config.js'
import { DEAD_LETTER_TOPIC, TOPICS } from '../contract/generation.js'
import { UnavailableError } from '../errors.js'
import { createKafkaClient, ensureTopics, type KafkaLog, type OpenSocket, reasonOf } from './kafka.js'
import type { Message } from './message.js'
import type { JobQueue } from './queue.js'

export interface KafkaQueue extends JobQueue {
  /** Resolves when a broker answers and the topics are there. */
  probe(): Promise<void>
}

export interface KafkaQueueOptions {
  kafka: KafkaConfig
  log: KafkaLog
  openSocket?: OpenSocket
  random?: () => number
}

interface Link {
  producer: Producer
  admin: Admin
}

const CLIENT_ID = 'chaptercast'
const OPEN_TIMEOUT_MS = 8000
/** How long the leader waits for its followers. */
const REPLICATION_TIMEOUT_MS = 4000
const PROBE_TIMEOUT_MS = 2000
const CLOSE_TIMEOUT_MS = 2000
/** Each send has a cost of its own: with this a create takes 15 to 25 % less CPU. A worker takes seconds for a job. */
const LINGER_MS = 20
/** Missing topics are made as soon as that is possible and allowed. */
const TOPICS_BACKOFF = { retryBaseMs: 4000, retryMaxMs: 60_000 }
/**
 * kafkajs writes what goes to one partition as one batch, of which a broker takes 1 MiB unless it is told
 * otherwise. No more than this of a topic goes into one send, in bytes of values.
 */
const MAX_TOPIC_BYTES = 512 * 1024

/** Returns at once; the brokers may be away. */
export function createKafkaQueue(options: KafkaQueueOptions): KafkaQueue {
  const { kafka: config, log, openSocket, random } = options

  const link = keepConnected<Link>({
    name: 'Kafka',
    openTimeoutMs: OPEN_TIMEOUT_MS,
    log,
    ...(random === undefined ? {} : { random }),
    async open(life, lost) {
      const client = createKafkaClient({ config, clientId: CLIENT_ID, signal: life, log, openSocket })
      const admin = client.kafka.admin()
      const producer = client.kafka.producer({
        createPartitioner: Partitioners.DefaultPartitioner,
        idempotent: false,
      })
      // Topics first: a send would have a broker that may do so make them, with partitions of its own choice.
      await admin.connect()
      await keepTopics(admin, life)
      await producer.connect()
      client.onDisconnected(() => lost(new Error('the brokers closed every connection')))
      return { admin, producer }
    },
  })

  /** Makes the topics now or, when that cannot be done, again and again in the background. */
  async function keepTopics(admin: Admin, life: AbortSignal): Promise<void> {
    const error = await ensureTopics(admin, config)
    if (error === undefined) return
    log.warn(
      { err: error, topic_prefix: config.topicPrefix },
      'the topics could not be checked or made; it is tried again',
    )
    void retryTopics(admin, life).catch(() => {})
  }

  async function retryTopics(admin: Admin, life: AbortSignal): Promise<void> {
    for (let tries = 2; ; tries++) {
      const waitMs = TOPICS_BACKOFF.retryBaseMs / 2 + backoffMs(tries, TOPICS_BACKOFF, Math.random)
      await sleep(waitMs, undefined, { signal: life, ref: false })
      const error = await ensureTopics(admin, config)
      if (error === undefined) return log.info({ tries }, 'the topics are there')
      log.debug({ err: error, tries }, 'it is still not sure that all topics are there')
    }
  }

  async function send(topicMessages: TopicMessages[], signal: AbortSignal): Promise<void> {
    let used: Link | undefined
    try {
      used = await link.get(signal)
      for (const part of inParts(topicMessages)) {
        await abortable(
          used.producer.sendBatch({ acks: -1, timeout: REPLICATION_TIMEOUT_MS, topicMessages: part }),
          signal,
        )
      }
    } catch (error) {
      // Whatever it was: a new one knows nothing of a stalled connection, a moved leader or an old topic.
      if (used !== undefined) link.lost(used, error)
      throw new UnavailableError(`Kafka did not take the messages: ${reasonOf(error)}`, { cause: error })
    }
  }

  function recordOf({ value, headers }: Message) {
    return { key: String(value.chapter_id), value: JSON.stringify(value), headers }
  }

  return {
    get capacity() {
      return link.isDown ? 0 : Number.POSITIVE_INFINITY
    },
    lingerMs: LINGER_MS,
    async publish(messages, signal) {
      if (messages.length === 0) return
      const byTopic = new Map<string, TopicMessages['messages']>()
      for (const message of messages) {
        const topic = `${config.topicPrefix}${TOPICS[message.value.kind]}`
        const records = byTopic.get(topic) ?? []
        records.push(recordOf(message))
        byTopic.set(topic, records)
      }
      await send(
        [...byTopic].map(([topic, records]) => ({ topic, messages: records })),
        signal,
      )
    },
    async publishDeadLetters(letters, signal) {
      if (letters.length === 0) return
      await send(
        [{ topic: `${config.topicPrefix}${DEAD_LETTER_TOPIC}`, messages: letters.map(recordOf) }],
        signal,
      )
    },
    async probe() {
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS)
      const { admin } = await link.get(signal)
      const topics = [`${config.topicPrefix}${TOPICS.concept}`]
      await abortable(admin.fetchTopicMetadata({ topics }), signal)
    },
    async close() {
      const open = link.current
      if (open !== undefined) {
        const left = Promise.allSettled([open.producer.disconnect(), open.admin.disconnect()])
        await abortable(left, AbortSignal.timeout(CLOSE_TIMEOUT_MS)).catch(() => {})
      }
      await link.close()
    },
  }
}

/** One send as a rule; several when there is more of a topic than one batch may hold. Order is kept. */
export function* inParts(topicMessages: readonly TopicMessages[]): Generator<TopicMessages[]> {
  const rest = topicMessages.map(({ topic, messages }) => ({ topic, messages, from: 0 }))
  while (rest.some(({ messages, from }) => from < messages.length)) {
    const part: TopicMessages[] = []
    for (const of of rest) {
      const { topic, messages, from } = of
      let bytes = 0
      let to = from
      while (to < messages.length) {
        bytes += Buffer.byteLength(messages[to]?.value ?? '')
        if (bytes > MAX_TOPIC_BYTES && to > from) break
        to += 1
      }
      if (to > from) part.push({ topic, messages: messages.slice(from, to) })
      of.from = to
    }
    yield part
  }
}
