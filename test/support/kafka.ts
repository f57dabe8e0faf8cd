/**
 * Kafka for a test: topics under a prefix of its own, messages and groups looked at from outside, and a
 * network in between that can fail.
 */

import { randomBytes, randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { Kafka, type KafkaMessage, logLevel, Partitioners } from 'kafkajs'
import type { Test } from 'tap'
import { type KafkaConfig, readConfig } from '../../src/config/config.js'
import type { GenerationMessage } from '../../src/contract/generation.js'
import { TOPICS } from '../../src/contract/generation.js'
import type { OpenSocket } from '../../src/dispatch/kafka.js'
import { type TcpProxy, tcpProxy } from './tcp-proxy.js'

export interface Written extends Pick<KafkaMessage, 'key' | 'value' | 'offset'> {
  headers: KafkaMessage['headers'] | undefined
  topic: string
  partition: number
}

/** Settings for the brokers of the run, with topics of the test’s own. */
export function kafkaConfig(): KafkaConfig {
  const brokers = process.env.KAFKA_BROKERS
  if (!brokers)
    throw new Error('KAFKA_BROKERS is not set: run `npm test -- FILE`, which starts a mock broker')
  const prefix = `test-${randomBytes(6).toString('hex')}-`
  const { kafka } = readConfig({ KAFKA_BROKERS: brokers, KAFKA_TOPIC_PREFIX: prefix, KAFKA_PARTITIONS: '3' })
  if (kafka === undefined) throw new Error('no Kafka in the configuration')
  return kafka
}

function clientOf({ brokers }: KafkaConfig): Kafka {
  return new Kafka({
    brokers: [...brokers],
    clientId: 'test',
    logLevel: logLevel.NOTHING,
    retry: { retries: 10, initialRetryTime: 50, maxRetryTime: 500 },
  })
}

/** A real Kafka, which makes topics and tells of groups; kcat’s mock broker does not. */
export async function hasAdminCalls(config: KafkaConfig): Promise<boolean> {
  const admin = clientOf(config).admin({ retry: { retries: 0 } })
  await admin.connect()
  try {
    await admin.listGroups()
    return true
  } catch {
    return false
  } finally {
    await admin.disconnect()
  }
}

export const NO_ADMIN = 'kcat’s mock broker knows no admin calls; KAFKA_BROKERS names a real one'

export async function withAdmin<T>(
  config: KafkaConfig,
  use: (admin: ReturnType<Kafka['admin']>) => Promise<T>,
): Promise<T> {
  const admin = clientOf(config).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Everything that is ever written to `topics`, in the order of each partition. */
export async function readTopics(
  t: Test,
  config: KafkaConfig,
  topics: readonly string[],
): Promise<Written[]> {
  const records: Written[] = []
  const consumer = clientOf(config).consumer({
    groupId: `${config.topicPrefix}reader-${randomUUID()}`,
    maxWaitTimeInMs: 100,
  })
  t.teardown(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({
    topics: topics.map((topic) => `${config.topicPrefix}${topic}`),
    fromBeginning: true,
  })
  await consumer.run({
    eachMessage: async ({ topic, partition, message: { key, value, headers, offset } }) => {
      records.push({ topic, partition, key, value, headers, offset })
    },
  })
  return records
}

/** Writes messages as the server does, or anything else. */
export async function produce(
  config: KafkaConfig,
  messages: readonly (GenerationMessage | { kind: GenerationMessage['kind']; key: string; raw: string })[],
): Promise<void> {
  const producer = clientOf(config).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    for (const message of messages) {
      const record =
        'raw' in message
          ? { key: message.key, value: message.raw }
          : { key: String(message.chapter_id), value: JSON.stringify(message) }
      await producer.send({ topic: `${config.topicPrefix}${TOPICS[message.kind]}`, messages: [record] })
    }
  } finally {
    await producer.disconnect()
  }
}

export function generationMessageOf(over: Partial<GenerationMessage> = {}): GenerationMessage {
  const { chapter_id = 1, kind = 'concept' } = over
  const url = `http://127.0.0.1:1/v1/chapter/${chapter_id}`
  return {
    job_id: randomUUID(),
    kind,
    attempt: 1,
    max_attempts: 3,
    chapter_id,
    course_id: 1,
    owner_id: 1,
    title: '변수와 자료형',
    description: 'Python 기초',
    locale: 'ko',
    quiz_count: 3,
    metadata: { level: '초급' },
    requested_at: new Date().toISOString(),
    deadline_at: new Date(Date.now() + 600_000).toISOString(),
    callback: {
      start_url: `${url}/${kind}-start`,
      finish_url: `${url}/${kind}-finish`,
      fail_url: `${url}/${kind}-fail`,
      progress_url: `${url}/progress`,
    },
    ...over,
  }
}

/** A way to the (single) broker that can stall and break, whatever address the broker advertises. */
export async function faultyNetwork(
  t: Test,
  { brokers }: KafkaConfig,
): Promise<{ proxy: TcpProxy; openSocket: OpenSocket }> {
  const [host = '', port = ''] = (brokers[0] ?? '').split(':')
  const proxy = await tcpProxy(t, { host, port: Number(port) })
  return { proxy, openSocket: () => connect({ host: '127.0.0.1', port: proxy.port }) }
}
