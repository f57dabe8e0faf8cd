import t, { type Test } from 'tap'
import type { KafkaConfig } from '../../src/config/config.js'
import type { GenerationMessage } from '../../src/contract/generation.js'
import { TOPICS } from '../../src/contract/generation.js'
import {
  CONSUMER_GROUP,
  createGeneratorConsumer,
  type GeneratorConsumerOptions,
} from '../../src/generator/consumer.js'
import { waitFor } from '../support/condition.js'
import { faultyNetwork, generationMessageOf, kafkaConfig, produce, withAdmin } from '../support/kafka.js'

/** Joining a group takes kcat’s mock broker three seconds, and a lost member is missed for six. */
const LONG = { timeoutMs: 30_000 }

t.jobs = 4
const test = (name: string, run: (t: Test) => Promise<void>) => t.test(name, { buffered: true }, run)

test('slow jobs of one chapter run at once, as many as there are places, and the next begins with the first free one', async (t) => {
  const config = kafkaConfig()
  const work = heldWork()
  consumerFor(t, config, { work: work.run, concurrency: 3 })
  await produce(config, attempts(5))
  await waitFor('three jobs at once', () => work.running.size === 3, LONG)
  work.release(2)
  await waitFor('the fourth', () => work.begun.includes(4))
  t.strictSame([...work.running.keys()], [1, 3, 4])
  for (const attempt of [1, 3, 4]) work.release(attempt)
  await waitFor('the last', () => work.begun.includes(5))
  work.release(5)
  t.equal(work.most(), 3)
  t.strictSame(work.begun, [1, 2, 3, 4, 5], 'each once')
})

test('a slow job holds back neither its own partition nor the others', async (t) => {
  const config = kafkaConfig()
  const work = heldWork()
  consumerFor(t, config, { work: work.run, concurrency: 2 })
  const messages = Array.from({ length: 24 }, (_, n) =>
    generationMessageOf({ attempt: n + 1, chapter_id: (n % 4) + 1, kind: n % 2 ? 'quiz' : 'concept' }),
  )
  await produce(config, messages)
  await waitFor('the first job', () => work.running.size > 0, LONG)
  const [slow = 0] = work.running.keys()
  await waitFor(
    'all others to be done',
    () => {
      for (const attempt of work.running.keys()) if (attempt !== slow) work.release(attempt)
      return work.done.length === 23
    },
    LONG,
  )
  t.ok(work.running.has(slow))
  work.release(slow)
})

test('an offset is committed only when every message before it is settled', async (t) => {
  const config = kafkaConfig()
  const work = heldWork()
  consumerFor(t, config, { work: work.run, concurrency: 5 })
  await produce(config, attempts(3))
  await waitFor('three jobs', () => work.running.size === 3, LONG)
  t.notOk(await committed(config), 'nothing while the first is under way')
  for (const attempt of [2, 3]) work.release(attempt)
  await waitFor('two to be done', () => work.done.length === 2)
  await produce(config, [generationMessageOf({ kind: 'quiz', attempt: 9 })])
  await waitFor('the marker', () => work.running.has(9))
  work.release(9)
  await waitFor('the marker’s offset', async () => (await committed(config, 'quiz')) === 1)
  t.notOk(await committed(config), 'nor when later ones are done')
  work.release(1)
  await waitFor('all three', async () => (await committed(config)) === 3)
})

test('what a killed generator had begun is delivered again, and what it had finished is not', async (t) => {
  const config = kafkaConfig()
  const { proxy, openSocket } = await faultyNetwork(t, config)
  const first = heldWork()
  consumerFor(t, config, { work: first.run, concurrency: 3, openSocket })
  await produce(config, attempts(6))
  await waitFor('three jobs', () => first.running.size === 3, LONG)
  first.release(1)
  await waitFor('the first to be committed', async () => (await committed(config)) === 1)
  await waitFor('three jobs again', () => first.running.size === 3)
  // To the brokers, and to whoever takes over, no different from kill -9.
  proxy.cut()

  const second = heldWork()
  second.releaseAll()
  consumerFor(t, config, { work: second.run, concurrency: 3 })
  await waitFor('the rest to be done', async () => (await committed(config)) === 6, LONG)
  t.strictSame([...second.begun].sort(), [2, 3, 4, 5, 6])
})

test('a malformed message is passed over and told of, without what it holds', async (t) => {
  const config = kafkaConfig()
  const work = heldWork()
  work.releaseAll()
  const { logged } = consumerFor(t, config, { work: work.run })
  const bad = ['not JSON', '', 'null', '[]', '{"kind":"concept","secret":"s3cret"}', '\0']
  await produce(
    config,
    bad.map((raw) => ({ kind: 'concept' as const, key: '1', raw })),
  )
  await produce(config, [{ ...generationMessageOf({ attempt: 7 }), unknown_field: 1 } as GenerationMessage])
  await waitFor('the good one', () => work.done.includes(7), LONG)
  await waitFor('all to be committed', async () => (await committed(config)) === 7)
  const warnings = logged.filter(({ text }) => text.endsWith('passed over'))
  t.equal(new Set(warnings.map(({ about }) => (about as { offset: string }).offset)).size, bad.length)
  t.notMatch(JSON.stringify(warnings), /s3cret/)
})

test('messages that nobody can work on do not stop the generator: they are passed over, counted and logged', async (t) => {
  const config = kafkaConfig()
  const work = heldWork()
  work.releaseAll()
  const { consumer, logged } = consumerFor(t, config, { work: work.run, concurrency: 1 })
  const { callback } = generationMessageOf()
  const bad: Partial<GenerationMessage>[] = [
    ...['', 'soon', '1', 'Infinity', '2026-13-01T00:00:00Z', '2026-01-31T25:00:00.000Z'].map(
      (deadline_at) => ({ deadline_at }),
    ),
    { requested_at: 'yesterday' },
    ...['', 'nowhere', '/v1/chapter/1/concept-start', 'ftp://host/x', 'file:///etc/passwd', 'data:,x'].map(
      (start_url) => ({ callback: { ...callback, start_url } }),
    ),
    ...['javascript:alert(1)', 'http://', 'http://user:s3cret@host/'].map((finish_url) => ({
      callback: { ...callback, finish_url },
    })),
    { callback: { ...callback, fail_url: 'http://[::1' } },
    { callback: { ...callback, progress_url: 'http://a b/' } },
    { quiz_count: 1e9 },
  ]
  await produce(
    config,
    bad.map((fields, n) => generationMessageOf({ attempt: n + 100, ...fields })),
  )
  await produce(config, [generationMessageOf({ attempt: 1 })])
  await waitFor('the good one', () => work.done.includes(1), LONG)
  await waitFor('all to be committed', async () => (await committed(config)) === bad.length + 1)
  t.strictSame(work.begun, [1], 'none of the others was begun')
  t.equal(consumer.passedOver, bad.length)
  const warnings = logged.filter(({ text }) => text.endsWith('passed over'))
  t.equal(warnings.length, bad.length)
  t.notMatch(JSON.stringify(warnings), /s3cret/)
})

test('told to leave, it finishes what it can in time, and the rest is delivered to another', async (t) => {
  const config = kafkaConfig()
  const work = heldWork()
  const { consumer } = consumerFor(t, config, { work: work.run, concurrency: 2 })
  await produce(config, attempts(4))
  await waitFor('two jobs', () => work.running.size === 2, LONG)
  const closed = consumer.close(700)
  work.release(1)
  // The second job never ends: without a bound it would be waited for until the test runs out of time.
  await closed
  t.strictSame(work.begun, [1, 2], 'nothing more was begun')
  t.equal(await committed(config), 1)

  const next = heldWork()
  next.releaseAll()
  consumerFor(t, config, { work: next.run })
  await waitFor('the rest', () => next.done.length >= 3, LONG)
  t.strictSame([...next.begun].sort(), [2, 3, 4])
})

test('Kafka breaks in the middle of long jobs: they go on, none is begun twice, and consuming goes on with Kafka', async (t) => {
  const config = kafkaConfig()
  const { proxy, openSocket } = await faultyNetwork(t, config)
  const work = heldWork()
  const { consumer } = consumerFor(t, config, {
    work: work.run,
    concurrency: 3,
    openSocket,
  })
  await produce(config, attempts(2))
  await waitFor('two jobs', () => work.running.size === 2, LONG)
  proxy.cut()
  await waitFor('the break to be noticed', () => !consumer.isConsuming, LONG)
  work.release(2)
  await waitFor('a job to end meanwhile', () => work.done.includes(2))
  proxy.resume()
  await produce(config, [generationMessageOf({ attempt: 3 })])
  await waitFor('the next message', () => work.begun.includes(3), LONG)
  t.equal(work.begun.filter((attempt) => attempt === 1).length, 1, 'the one under way is joined')
  for (const attempt of [1, 2, 3]) work.release(attempt)
  await waitFor('all to be committed', async () => (await committed(config)) === 3)
})

test('generators come and go, and every message is done', async (t) => {
  const config = kafkaConfig()
  const done = new Set<number>()
  const begunTwice: number[] = []
  const running = new Set<number>()
  const work = async ({ attempt }: GenerationMessage, signal: AbortSignal) => {
    if (running.has(attempt)) begunTwice.push(attempt)
    running.add(attempt)
    await new Promise((resolve) => setImmediate(resolve))
    running.delete(attempt)
    signal.throwIfAborted()
    done.add(attempt)
  }
  const first = consumerFor(t, config, { work })
  const messages = Array.from({ length: 120 }, (_, n) =>
    generationMessageOf({ attempt: n + 1, chapter_id: n + 1, kind: n % 3 ? 'exercise' : 'quiz' }),
  )
  await produce(config, messages.slice(0, 40))
  await waitFor('some to be done', () => done.size > 10, LONG)
  const second = consumerFor(t, config, { work })
  await produce(config, messages.slice(40, 80))
  await waitFor('the second to consume', () => second.consumer.isConsuming, LONG)
  await first.consumer.close(1000)
  await produce(config, messages.slice(80))
  await waitFor('every message', () => done.size === 120, LONG)
})

/** Attempts 1 to n of one chapter’s concept, on one partition: told apart by their attempt. */
function attempts(n: number): GenerationMessage[] {
  return Array.from({ length: n }, (_, index) => generationMessageOf({ attempt: index + 1 }))
}

/** Work that lasts until it is released, or aborted. */
function heldWork() {
  const running = new Map<number, () => void>()
  const begun: number[] = []
  const done: number[] = []
  let isOpen = false
  let most = 0
  return {
    running,
    begun,
    done,
    most: () => most,
    release: (attempt: number) => running.get(attempt)?.(),
    releaseAll() {
      isOpen = true
      for (const release of running.values()) release()
    },
    async run({ attempt }: GenerationMessage, signal: AbortSignal): Promise<void> {
      begun.push(attempt)
      try {
        await new Promise<void>((resolve, reject) => {
          running.set(attempt, resolve)
          most = Math.max(most, running.size)
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          if (isOpen) resolve()
        })
        done.push(attempt)
      } finally {
        running.delete(attempt)
      }
    },
  }
}

interface Logged {
  level: string
  about: unknown
  text: string
}

function consumerFor(
  t: Test,
  kafka: KafkaConfig,
  over: Partial<GeneratorConsumerOptions> & Pick<GeneratorConsumerOptions, 'work'>,
) {
  const logged: Logged[] = []
  const write = (level: string) => (about: unknown, text?: string) =>
    void logged.push({ level, about, text: String(text) })
  const consumer = createGeneratorConsumer({
    kafka,
    concurrency: 4,
    sessionTimeoutMs: 6000,
    log: {
      trace: () => {},
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    },
    ...over,
  })
  t.teardown(() => consumer.close(0))
  return { consumer, logged }
}

/** The next offset that the group would be given of the chapter’s partition, if it ever committed one there. */
async function committed(config: KafkaConfig, kind: 'concept' | 'quiz' = 'concept'): Promise<number> {
  const topic = `${config.topicPrefix}${TOPICS[kind]}`
  const [found] = await withAdmin(config, (admin) =>
    admin.fetchOffsets({ groupId: `${config.topicPrefix}${CONSUMER_GROUP}`, topics: [topic] }),
  )
  return Math.max(0, ...(found?.partitions ?? []).map(({ offset }) => Number(offset)))
}
