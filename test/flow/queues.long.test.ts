/**
 * Three ways for work to go out, one promise: whatever carries the jobs, a chapter is completed, failures are tried
 * again, silence ends at the deadline, a cancelled chapter stays as it is, and a node may die. The workers are as simple
 * as can be, and do what a chapter’s metadata tells them, as the sample generator does.
 */
import t, { type Test } from 'tap'
import type { GenerationMessage } from '../../src/contract/generation.js'
import { TOPICS } from '../../src/contract/generation.js'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import { createChapter, FINISH_BODIES, post, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { answer, httpWorker, type WorkerRequest } from '../support/http-worker.js'
import { kafkaConfig, readTopics } from '../support/kafka.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { eventNamesOf, eventsOf, untilPublished, viewChapter, viewJob } from '../support/views.js'

t.setTimeout(600_000)

interface Way {
  env: Record<string, string>
  /** After the nodes have started; callbacks go to the last node, which is not killed. */
  begin(t: Test, nodes: TestNode[]): Promise<void>
}

const WAYS: Record<string, (t: Test) => Promise<Way>> = {
  local: async () => ({
    env: { GENERATOR: 'sample', GENERATOR_DELAY_MS: '0' },
    async begin() {},
  }),

  async kafka(_t) {
    const config = kafkaConfig()
    return {
      env: { KAFKA_BROKERS: config.brokers.join(), KAFKA_TOPIC_PREFIX: config.topicPrefix },
      async begin(t, nodes) {
        const written = await readTopics(t, config, Object.values(TOPICS))
        let read = 0
        const timer = setInterval(() => {
          for (; read < written.length; read += 1) {
            const message = JSON.parse(String(written[read]?.value)) as GenerationMessage
            void callBack(message, nodes.at(-1)?.url ?? '').catch(() => {})
          }
        }, 20)
        t.teardown(() => clearInterval(timer))
      },
    }
  },

  async http(t) {
    const worker = await httpWorker(t, (request) => respond(request))
    return { env: { DISPATCH: 'http', DISPATCH_URL: worker.url }, async begin() {} }
  },

  // By HTTP as well, and then as a worker of Kafka’s does.
  async 'http, called back'(t) {
    let base = ''
    const worker = await httpWorker(t, (request) => {
      answer(request, 202)
      void callBack(request.message, base).catch(() => {})
    })
    return {
      env: { DISPATCH: 'http', DISPATCH_URL: worker.url },
      async begin(_t, nodes) {
        base = nodes.at(-1)?.url ?? ''
      },
    }
  },
}

for (const [name, open] of Object.entries(WAYS))
  t.test(name, async (t) => {
    const way = await open(t)
    const env = {
      GENERATION_RETRY_BASE_MS: '50',
      GENERATION_MAX_ATTEMPTS: '2',
      GENERATION_TIMEOUT_MS: '2500',
      ...way.env,
    }
    const { nodes } = await startNodes(t, 2, { env })
    await way.begin(t, nodes)
    const [url, other] = nodes.map((node) => node.url) as [string, string]
    const make = (sample: Sample = {}) => createChapter(url, { metadata: { sample } })

    await t.test('a chapter is created, worked on and completed', async (t) => {
      const id = await make()
      await untilStatus(other, id, 'completed')
      const names = await eventNamesOf(other, id)
      for (const kind of JOB_KINDS)
        t.equal(names.filter((each) => each === `${kind}_completed`).length, 1, kind)
      t.equal(names.filter((each) => each === 'all_completed').length, 1)
      t.match(await request(`${other}/v1/chapter/${id}/learning`), {
        body: { concept: { title: /\S/, is_complete: true }, quizzes: [{ question: /\S/ }] },
      })
    })

    await t.test('what fails is tried again under the next number, and completes', async (t) => {
      const id = await make({ fail: ['quiz'] })
      await untilStatus(other, id, 'completed')
      t.match(
        (await eventsOf(other, id)).find(({ event }) => event === 'quiz_retrying'),
        { attempt: 2, reason: 'model_error' },
      )
      t.match(await viewJob(other, id, 'quiz'), { attempt: 2, status: 'completed' })
    })

    await t.test('what fails each time fails the chapter', async (t) => {
      const id = await make({ fail: ['exercise'], times: 2 })
      await untilStatus(other, id, 'failed')
      t.match(await viewJob(other, id, 'exercise'), {
        status: 'failed',
        attempt: 2,
        error: { reason: 'model_error' },
      })
    })

    await t.test('a worker that dies over its work: the deadline ends its attempt', async (t) => {
      const id = await make({ hang: ['concept'] })
      await untilStatus(other, id, 'completed')
      const names = (await eventNamesOf(other, id)).filter((each) => /^concept_(?!started)/.test(each))
      t.strictSame(names, ['concept_processing', 'concept_timeout', 'concept_retrying', 'concept_completed'])
    })

    await t.test('a chapter that is cancelled stays as it is, and nothing of it is sent again', async (t) => {
      const id = await make({ hang: [...JOB_KINDS] })
      await untilPublished(other, id)
      t.equal((await post(`${other}/v1/chapter/${id}/cancel`)).status, 202)
      const { last_seq } = await viewChapter(url, id)
      // A marker: its attempt begins later, and its deadline ends it.
      const marker = await make({ hang: ['concept'] })
      await untilStatus(other, marker, 'completed')
      t.match(await viewChapter(url, id), { status: 'cancelled', last_seq })
    })
  })

for (const [name, open] of Object.entries(WAYS))
  t.test(`${name}: a node is killed with jobs under way, and the other one sees to them`, async (t) => {
    const way = await open(t)
    const { nodes } = await startNodes(t, 2, {
      process: true,
      env: { GENERATOR_DELAY_MS: '3000', ...way.env },
    })
    await way.begin(t, nodes)
    const [first, last] = nodes as [TestNode, TestNode]
    const ids = await Promise.all(
      Array.from({ length: 4 }, () => createChapter(first.url, { metadata: { sample: { delay_ms: 3000 } } })),
    )
    for (const id of ids) await untilPublished(last.url, id, ['concept'])
    await first.kill()
    for (const id of ids) await untilStatus(last.url, id, 'completed', 120_000)
    for (const id of ids)
      for (const { attempt, kind } of (await viewChapter(last.url, id)).jobs)
        t.equal(attempt, 1, `${kind} of ${id}: no attempt was used`)
  })

t.test('a request that a killed node waited for is sent again by another, under the same name', async (t) => {
  const worker = await httpWorker(t, () => {})
  const env = { DISPATCH: 'http', DISPATCH_URL: worker.url }
  const { nodes } = await startNodes(t, 3, { process: true, env })
  const id = await createChapter(nodes[0]?.url ?? '')
  await waitFor('all are open', () => worker.open.length === 3)
  const [before] = worker.of(id, 'concept')
  const sender = nodes.find(({ port }) => before?.message.callback.finish_url.includes(`:${port}/`))
  const witness = nodes.find((node) => node !== sender)
  if (before === undefined || sender === undefined || witness === undefined) return t.fail('it was sent')
  await sender.kill()
  const killedAt = Date.now()
  const again = await waitFor('it is sent again', () => worker.of(id, 'concept')[1], { timeoutMs: 30_000 })
  t.comment(`sent again ${Date.now() - killedAt} ms after its node was killed`)
  t.equal(again.headers['idempotency-key'], before.headers['idempotency-key'])
  t.match(again.message, { attempt: 1, job_id: before.message.job_id })
  worker.reply = respond
  for (const open of worker.open) await respond(open)
  await untilStatus(witness.url, id, 'completed')
  t.match(await viewJob(witness.url, id, 'concept'), { attempt: 1 })
})

interface Sample {
  fail?: JobKind[]
  hang?: JobKind[]
  times?: number
  delay_ms?: number
}

/** What the chapter’s metadata asks of its worker. */
async function steer({ kind, attempt, metadata }: GenerationMessage): Promise<'hang' | 'fail' | 'finish'> {
  const { fail = [], hang = [], times = 1, delay_ms = 0 } = (metadata.sample ?? {}) as Sample
  if (attempt <= times && hang.includes(kind)) return 'hang'
  await new Promise((resolve) => setTimeout(resolve, delay_ms))
  return attempt <= times && fail.includes(kind) ? 'fail' : 'finish'
}

/** Webhook, model, Respond to Webhook. */
async function respond(request: WorkerRequest): Promise<void> {
  const does = await steer(request.message)
  if (does === 'fail') answer(request, 500, { message: 'the model said no' })
  if (does === 'finish') answer(request, 200, FINISH_BODIES[request.message.kind])
}

/** At the same paths of another node, for the one that sent the message may be gone. */
async function callBack(message: GenerationMessage, base: string): Promise<void> {
  const at = (url: string) => `${base}${new URL(url).pathname}${new URL(url).search}`
  const { callback, kind } = message
  const { body } = await post(at(callback.start_url), {})
  if (body.run !== true) return
  const does = await steer(message)
  if (does === 'fail') await post(at(callback.fail_url), { error: 'the model said no' })
  if (does === 'finish') await post(at(callback.finish_url), FINISH_BODIES[kind])
}

function untilStatus(url: string, id: number, status: string, timeoutMs = 40_000): Promise<unknown> {
  return waitFor(`chapter ${id} is ${status}`, async () => (await viewChapter(url, id)).status === status, {
    timeoutMs,
    everyMs: 50,
  })
}
