/**
 * A node that is killed while its jobs are with workers: the window holds for the others.
 */
import t from 'tap'
import { readConfig } from '../../src/config/config.js'
import { type GenerationMessage, TOPICS } from '../../src/contract/generation.js'
import { createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { countingWorker } from '../support/counting-worker.js'
import { readTopics } from '../support/kafka.js'
import { startNodes } from '../support/three-nodes.js'
import { viewChapter } from '../support/views.js'

const LONG = { timeoutMs: 120_000, everyMs: 20 }
t.test('a node is killed: its places are kept, and nothing is out twice or lost', async (t) => {
  const { nodes, kafkaPrefix } = await startNodes(t, 3, {
    process: true,
    kafka: true,
    env: { GENERATION_WINDOW: '5', KAFKA_PARTITIONS: '3' },
  })
  const { kafka } = readConfig({ KAFKA_BROKERS: process.env.KAFKA_BROKERS, KAFKA_TOPIC_PREFIX: kafkaPrefix })
  if (kafka === undefined) throw new Error('no Kafka in the configuration')
  const written = await readTopics(t, kafka, Object.values(TOPICS))
  const messages = () => written.map(({ value }): GenerationMessage => JSON.parse(String(value)))
  let living = nodes.map(({ url }) => url)
  const worker = countingWorker(t, messages, () => living)
  const ids = await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      createChapter(living[index % 3] ?? '', { owner_id: 1 + (index % 4) }),
    ),
  )
  await waitFor('work to be done', () => worker.answers.length >= 15, LONG)
  const [, victim] = nodes
  living = living.filter((url) => url !== victim?.url)
  await victim?.kill()
  await waitFor('every chapter', () => worker.answers.length === 90, LONG)
  t.ok(worker.most <= 5, `${worker.most} were out at once`)
  for (const id of ids) t.equal((await viewChapter(living[0] ?? '', id)).status, 'completed')
})
