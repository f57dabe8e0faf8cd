import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import type { KafkaConfig } from '../../src/config/config.js'
import {
  DEAD_LETTER_TOPIC,
  type DeadLetter,
  type GenerationMessage,
  TOPICS,
} from '../../src/contract/generation.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createKafkaQueue, inParts, type KafkaQueue } from '../../src/dispatch/kafka-queue.js'
import { UnavailableError } from '../../src/errors.js'
import { traceparentOf } from '../../src/telemetry/traceparent.js'
import { waitFor } from '../support/condition.js'
import {
  faultyNetwork,
  generationMessageOf,
  hasAdminCalls,
  kafkaConfig,
  NO_ADMIN,
  readTopics,
  type Written,
  withAdmin,
} from '../support/kafka.js'
import { withHeaders } from '../support/message.js'

const ALL_TOPICS = [...Object.values(TOPICS), DEAD_LETTER_TOPIC]
/** Of a send that is expected to succeed. */
const soon = () => AbortSignal.timeout(10_000)

t.test('a chapter’s three jobs go to three topics, each message exactly as agreed', async (t) => {
  const config = kafkaConfig()
  const { queue } = queueFor(t, config)
  const messages = JOB_KINDS.map((kind) => messageOf({ kind, chapter_id: 42, attempt: 2 }))
  await queue.publish(messages, soon())
  const written = await readTopics(t, config, ALL_TOPICS)
  for (const { value, headers } of messages) {
    const topic = `${config.topicPrefix}${TOPICS[value.kind]}`
    const record = await waitFor(`a message in ${topic}`, () =>
      written.find((found) => found.topic === topic),
    )
    t.equal(String(record?.key), '42')
    t.equal(String(record?.value), JSON.stringify(value), 'to the byte')
    t.strictSame(headersOf(record), headers)
  }
  t.equal(new Set(written.map(({ value }) => String(value))).size, 3, 'and nothing else')
})

t.test('a job that failed for good goes to the dead-letter topic, with its reason', async (t) => {
  const config = kafkaConfig()
  const { queue } = queueFor(t, config)
  const letter: DeadLetter = {
    ...generationMessageOf({ kind: 'quiz', chapter_id: 7, attempt: 3 }),
    reason: 'timeout',
    error: null,
    failed_at: new Date().toISOString(),
  }
  const { headers, value } = withHeaders(letter)
  await queue.publishDeadLetters([{ headers, value }], soon())
  const written = await readTopics(t, config, ALL_TOPICS)
  await waitFor('the dead letter', () => written.length > 0)
  t.match(written, [{ topic: `${config.topicPrefix}generation-dead-letter` }])
  t.equal(String(written[0]?.key), '7')
  t.strictSame(JSON.parse(String(written[0]?.value)), letter)
  t.strictSame(headersOf(written[0]), headers)
})

t.test('while nothing is sent to Kafka, no timer of its client runs every millisecond', async (t) => {
  const { queue } = queueFor(t, kafkaConfig())
  await queue.publish([messageOf({ chapter_id: 1 })], soon())
  const { setTimeout: start } = globalThis
  let started = 0
  t.teardown(() => {
    globalThis.setTimeout = start
  })
  globalThis.setTimeout = ((run: () => void, ms?: number) => {
    if (!(ms !== undefined && ms > 1)) started += 1
    return start(run, ms)
  }) as typeof setTimeout
  // Two hundred of its turns.
  await new Promise((resolve) => start(resolve, 200))
  t.ok(started < 20, `${started} were started`)
})

t.test('the messages of a chapter arrive in the order sent, however many go out together', async (t) => {
  const config = kafkaConfig()
  const { queue } = queueFor(t, config)
  const chapters = [1, 2, 3, 4, 5]
  const messages = Array.from({ length: 300 }, (_, n) =>
    messageOf({ chapter_id: chapters[n % 5] ?? 1, attempt: Math.floor(n / 5) + 1 }),
  )
  await queue.publish(messages.slice(0, 200), soon())
  await queue.publish(messages.slice(200), soon())
  const written = await readTopics(t, config, [TOPICS.concept])
  const jobs = () => firstOfEach(written)
  await waitFor('all messages', () => jobs().length >= 300)
  for (const chapter of chapters) {
    const own = jobs().filter(({ key }) => String(key) === String(chapter))
    t.equal(new Set(own.map(({ partition }) => partition)).size, 1, 'one partition')
    t.strictSame(
      own.map(({ headers }) => Number(String(headers?.attempt))),
      Array.from({ length: 60 }, (_, n) => n + 1),
    )
  }
})

t.test('more than a broker takes in one batch still goes out, in parts', async (t) => {
  const config = kafkaConfig()
  const { queue } = queueFor(t, config)
  const description = '가'.repeat(10_000)
  const messages = Array.from({ length: 100 }, (_, n) => messageOf({ attempt: n + 1, description }))
  await queue.publish(messages, soon())
  const written = await readTopics(t, config, [TOPICS.concept])
  const jobs = () => firstOfEach(written)
  await waitFor('all messages', () => jobs().length >= 100)
  t.strictSame(
    jobs().map(({ headers }) => Number(String(headers?.attempt))),
    messages.map(({ value }) => value.attempt),
  )
  const parts = [
    ...inParts([{ topic: 'a', messages: messages.map(({ value }) => ({ value: JSON.stringify(value) })) }]),
  ]
  t.ok(parts.length > 5, `${parts.length} parts`)
})

t.test(
  'a send ends at its deadline when the broker is silent, and the next one is not held up',
  async (t) => {
    const config = kafkaConfig()
    const { proxy, openSocket } = await faultyNetwork(t, config)
    const { queue } = queueFor(t, config, { openSocket })
    await queue.publish([messageOf({ attempt: 1 })], soon())

    proxy.stall()
    const requestLimit = AbortSignal.timeout(10_000)
    for (const attempt of [2, 3]) {
      const deadline = AbortSignal.timeout(400)
      await t.rejects(queue.publish([messageOf({ attempt })], deadline), UnavailableError)
    }
    t.notOk(requestLimit.aborted, 'nobody waits for the ten seconds that a request to Kafka may take')
    proxy.resume()
    await waitFor('a send to succeed again', () => sent(queue, 4))
    const written = await readTopics(t, config, [TOPICS.concept])
    await waitFor('what was sent', () => attemptsOf(written).includes(4))
    t.ok(attemptsOf(written).includes(1))
  },
)

t.test('with Kafka away at the start the server starts; jobs go out once it is there', async (t) => {
  const config = kafkaConfig()
  const { proxy, openSocket } = await faultyNetwork(t, config)
  proxy.cut()
  const { queue, logged } = queueFor(t, config, { openSocket })
  await waitFor('the queue to know', () => queue.capacity === 0)
  const deadline = soon()
  await t.rejects(queue.publish([messageOf()], deadline), UnavailableError)
  t.notOk(deadline.aborted, 'it fails at once, not at the deadline')
  await t.rejects(queue.probe())
  t.match(
    logged.filter(({ level }) => level === 'warn'),
    [{ text: /Kafka is away/ }],
    'one warning',
  )

  proxy.resume()
  await waitFor('a send to succeed', () => sent(queue, 2))
  t.equal(queue.capacity, Number.POSITIVE_INFINITY)
  await queue.probe()
})

t.test(
  'Kafka that breaks and comes back, again and again, needs no restart and loses nothing sent',
  async (t) => {
    const config = kafkaConfig()
    const { proxy, openSocket } = await faultyNetwork(t, config)
    const { queue } = queueFor(t, config, { openSocket })
    for (const round of [1, 2, 3]) {
      await waitFor('a send to succeed', () => sent(queue, round))
      proxy.cut()
      await waitFor('the break to be noticed without a send', () => queue.capacity === 0)
      await t.rejects(queue.publish([messageOf()], soon()), UnavailableError)
      proxy.resume()
    }
    await waitFor('a send to succeed', () => sent(queue, 4))
    const written = await readTopics(t, config, [TOPICS.concept])
    await waitFor('every message that was taken', () =>
      [1, 2, 3, 4].every((n) => attemptsOf(written).includes(n)),
    )
  },
)

t.test('a queue closes without waiting for a silent broker, sends under way included', async (t) => {
  const config = kafkaConfig()
  const { proxy, openSocket } = await faultyNetwork(t, config)
  const { queue } = queueFor(t, config, { openSocket })
  await queue.publish([messageOf()], soon())
  proxy.stall()
  const deadline = AbortSignal.timeout(30_000)
  const sending = t.rejects(queue.publish([messageOf()], deadline), UnavailableError)
  await queue.close()
  await sending
  t.notOk(deadline.aborted, 'it does not wait for the deadline of what it was sending')
  await t.rejects(queue.publish([messageOf()], soon()), UnavailableError)
})

const skip = (await hasAdminCalls(kafkaConfig())) ? false : NO_ADMIN
t.test(
  'topics are made at the start with the partitions that were set; existing ones stay',
  { skip },
  async (t) => {
    const config = kafkaConfig()
    const existing = `${config.topicPrefix}${TOPICS.quiz}`
    await withAdmin(config, (admin) =>
      admin.createTopics({ waitForLeaders: true, topics: [{ topic: existing, numPartitions: 5 }] }),
    )
    const { queue, logged } = queueFor(t, config)
    await queue.probe()
    const topics = ALL_TOPICS.map((topic) => `${config.topicPrefix}${topic}`)
    const found = await withAdmin(config, (admin) => admin.fetchTopicMetadata({ topics }))
    t.strictSame(
      new Map(found.topics.map(({ name, partitions }) => [name, partitions.length])),
      new Map(topics.map((topic) => [topic, topic === existing ? 5 : 3])),
    )
    t.notOk(logged.some(({ level }) => level === 'warn'))
  },
)

t.test('topics that cannot be made are warned of once, and nothing stops', async (t) => {
  const config = { ...kafkaConfig(), replication: 3 }
  const { queue, logged } = queueFor(t, config)
  await waitFor('the queue to be connected', () => logged.some(({ text }) => text === 'Kafka is connected'))
  t.match(
    logged.filter(({ level }) => level === 'warn'),
    [{ text: /topics could not be checked or made/ }],
  )
  t.equal(queue.capacity, Number.POSITIVE_INFINITY)
})

t.test('every attempt at a job is one trace, and continues the request’s where there was one', async (t) => {
  const jobId = '0190A0B2-7e1c-4f6d-8c1a-2b3c4d5e6f70'
  const spanId = Buffer.from('00f067aa0ba902b7', 'hex')
  t.equal(traceparentOf(jobId, undefined, spanId), '00-0190a0b27e1c4f6d8c1a2b3c4d5e6f70-00f067aa0ba902b7-01')
  const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-00'
  t.equal(traceparentOf(jobId, parent, spanId), '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00')
  for (const invalid of [
    '',
    'x',
    parent.slice(1),
    `00-${'0'.repeat(32)}-1111111111111111-01`,
    `${parent}\r\nx: y`,
  ])
    t.match(traceparentOf(jobId, invalid), /^00-0190a0b27e1c4f6d8c1a2b3c4d5e6f70-[0-9a-f]{16}-01$/, invalid)
  t.not(traceparentOf(jobId), traceparentOf(jobId), 'each message is a span of its own')
})

function messageOf(over: Partial<GenerationMessage> = {}) {
  return withHeaders(generationMessageOf(over))
}

interface Logged {
  level: string
  text: string
}

function queueFor(t: Test, kafka: KafkaConfig, over: Partial<Parameters<typeof createKafkaQueue>[0]> = {}) {
  const logged: Logged[] = []
  const write = (level: string) => (_about: unknown, text?: string) =>
    void logged.push({ level, text: String(text) })
  const log = {
    trace: () => {},
    debug: () => {},
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  }
  const queue = createKafkaQueue({ kafka, log, ...over })
  t.teardown(() => queue.close())
  return { queue, logged }
}

/** Whether a message went out, as a dispatcher finds out: by trying again. */
async function sent(queue: KafkaQueue, attempt: number): Promise<boolean> {
  const message = messageOf({ attempt, job_id: randomUUID() })
  return queue.publish([message], soon()).then(
    () => true,
    () => false,
  )
}

function headersOf(record: Written | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record?.headers ?? {}).map(([name, value]) => [name, String(value)]),
  )
}

/** A message may be written twice: a broker that was not ready for one topic is sent all of them again. */
function firstOfEach(written: readonly Written[]): Written[] {
  const jobs = new Set<string>()
  return written.filter(({ headers }) => {
    const job = String(headers?.['job-id'])
    return !jobs.has(job) && jobs.add(job)
  })
}

function attemptsOf(written: readonly Written[]): number[] {
  return written.map(({ headers }) => Number(String(headers?.attempt)))
}
