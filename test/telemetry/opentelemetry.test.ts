/**
 * What an operator sees in a backend of OpenTelemetry: one chapter is one trace, whoever works on it.
 */
import { spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, FINISH_BODIES, post } from '../support/client.js'
import { freePort, waitFor } from '../support/condition.js'
import { accepting, httpWorker, withResult } from '../support/http-worker.js'
import { kafkaConfig } from '../support/kafka.js'
import { type LogLine, silentLog } from '../support/log.js'
import { type OtlpReceiver, otlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.js'
import { startNodes } from '../support/three-nodes.js'

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const CLIENT_SPAN = '00f067aa0ba902b7'
const traceparent = `00-${TRACE_ID}-${CLIENT_SPAN}-01`

t.teardown(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name]
})

/** OpenTelemetry reads its variables from the environment of the process. */
function settings(url: string, more: Record<string, string> = {}): Record<string, string> {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_BSP_SCHEDULE_DELAY: '50',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    ...more,
  }
  Object.assign(process.env, env)
  return env
}

/** The chapter’s spans of that name, once there are some that fit. */
async function spansOf(
  { spans }: OtlpReceiver,
  name: string,
  fits: (span: ReceivedSpan) => boolean = () => true,
): Promise<ReceivedSpan> {
  return waitFor(
    `the span ${name} is received`,
    () => spans.find((span) => span.name === name && span.traceId === TRACE_ID && fits(span)),
    // The generator is a process of its own, which starts and joins its group first.
    { timeoutMs: 60_000 },
  )
}

async function createAndJoin(t: Test, url: string): Promise<number> {
  const { body } = await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, { traceparent })
  const socket = await connectSocket(t, url)
  await socket.ask('join_chapter', { chapter_id: body.chapter_id })
  return body.chapter_id
}

t.test('with Kafka, a chapter is one trace from its request through the generator to the room', async (t) => {
  const receiver = await otlpReceiver(t)
  const { brokers, topicPrefix } = kafkaConfig()
  const kafka = { KAFKA_BROKERS: brokers.join(','), KAFKA_TOPIC_PREFIX: topicPrefix, KAFKA_PARTITIONS: '3' }
  const telemetry = settings(receiver.url)
  const { url } = await buildTestApp(t, { ...kafka, ...telemetry })
  await createAndJoin(t, url)
  const generator = spawn(process.execPath, ['dist/generator/main.js'], {
    env: {
      ...process.env,
      ...kafka,
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
      GENERATOR_DELAY_MS: '0',
    },
    stdio: 'ignore',
  })
  t.teardown(() => generator.kill('SIGKILL'))

  const created = await spansOf(receiver, 'POST /v1/chapter/')
  t.match(created, { service: 'chaptercast', parentId: CLIENT_SPAN, kind: 2 })
  t.equal(created.attributes['http.response.status_code'], 201)
  const stored = await spansOf(receiver, 'commit create')
  t.equal(stored.parentId, created.spanId)
  const sent = await spansOf(receiver, 'publish concept')
  t.match(sent, { parentId: created.spanId, kind: 4, attributes: { 'chaptercast.attempt': 1 } })
  const made = await spansOf(receiver, 'generate concept', ({ parentId }) => parentId === sent.spanId)
  t.match(made, { service: 'chaptercast-generator', kind: 5 })
  const finished = await spansOf(receiver, 'POST /v1/chapter/:id/concept-finish')
  const call = await spansOf(receiver, 'POST', ({ spanId }) => spanId === finished.parentId)
  t.match(call, { service: 'chaptercast-generator', kind: 3, parentId: made.spanId })
  const result = await spansOf(receiver, 'commit finish', ({ parentId }) => parentId === finished.spanId)
  // Of one kind at least: what the room reads from the log before the node knows of its own commit has no span.
  const isFinish = (id: unknown) =>
    receiver.spans.some(({ name, spanId }) => name === 'commit finish' && spanId === id)
  const told = await spansOf(receiver, 'emit', ({ parentId }) => isFinish(parentId))
  t.match(told.attributes['chaptercast.events'], /_completed/)

  const isGroup = ({ name, links }: ReceivedSpan) => name === 'commit group' && links.includes(result.spanId)
  const group = await waitFor('the group is received', () => receiver.spans.find(isGroup))
  t.not(group.traceId, TRACE_ID, 'a group serves many chapters: it is linked, and not part of one trace')
  t.same(result.links, [group.spanId])
  t.notMatch(JSON.stringify(receiver.spans), 'job_id=', 'no query of an address')
  t.same(
    receiver.spans.filter(({ name }) => /partial|healthz|metrics/.test(name)),
    [],
  )

  const point = await waitFor('the metrics are received', () =>
    receiver.metrics
      .get('chaptercast_chapters_total')
      ?.points.find((p) => p.attributes.what === 'created' && p.value > 0),
  )
  t.equal(point.value, 1)
  const requests = receiver.metrics.get('chaptercast_http_request_seconds')
  t.equal(requests?.type, 'histogram')
  for (const { value, buckets, bounds } of requests?.points ?? []) {
    t.equal(buckets.length, bounds.length + 1)
    t.equal(
      buckets.reduce((sum, count) => sum + count, 0),
      value,
    )
  }
  t.match(receiver.metrics.get('process_resident_memory_bytes'), { type: 'gauge' })
})

t.test('with DISPATCH=http, the answer goes on with the trace that the worker was sent', async (t) => {
  const receiver = await otlpReceiver(t)
  const worker = await httpWorker(t, (request) =>
    request.message.kind === 'quiz' ? accepting(request) : withResult(request),
  )
  const env = { DISPATCH: 'http', DISPATCH_URL: worker.url, ...settings(receiver.url) }
  const { url } = await buildTestApp(t, env)
  const chapterId = await createAndJoin(t, url)
  const sent = await spansOf(receiver, 'send concept')
  const [request] = worker.of(chapterId, 'concept')
  t.equal(request?.headers.traceparent, `00-${TRACE_ID}-${sent.spanId}-01`)
  const published = await spansOf(receiver, 'publish concept')
  t.equal(sent.parentId, published.spanId)
  await spansOf(receiver, 'commit finish', ({ parentId }) => parentId === sent.spanId)

  await t.test(
    'a worker that sends no trace back is linked, and its event is in the chapter’s trace',
    async (t) => {
      const quiz = await waitFor('the worker has the job', () => worker.of(chapterId, 'quiz')[0])
      await post(quiz.message.callback.finish_url, FINISH_BODIES.quiz)
      const told = await spansOf(receiver, 'emit', ({ attributes }) =>
        String(attributes['chaptercast.events']).includes('quiz_completed'),
      )
      const stored = await waitFor('its commit is received', () =>
        receiver.spans.find(({ name, traceId }) => name === 'commit finish' && traceId !== TRACE_ID),
      )
      t.ok(stored.links.includes(told.parentId), 'the commit is linked to what the event continues')
    },
  )
})

t.test('an event that another node emits is in the chapter’s trace, and so is a time-out', async (t) => {
  const receiver = await otlpReceiver(t)
  const env = {
    ...settings(receiver.url, { OTEL_METRICS_EXPORTER: 'none' }),
    GENERATOR: 'off',
    GENERATION_TIMEOUT_MS: '600000',
    GENERATION_MAX_ATTEMPTS: '1',
  }
  let lateMs = 0
  const { nodes } = await startNodes(t, 2, { env, overrides: { now: () => Date.now() + lateMs } })
  const [one, other] = nodes.map(({ url }) => url)
  const chapterId = await createAndJoin(t, one ?? '')
  const socket = await connectSocket(t, other ?? '')
  await socket.ask('join_chapter', { chapter_id: chapterId })
  lateMs = 600_001
  await socket.hears('chapter_failed')
  const named = (name: string) => (span: ReceivedSpan) =>
    span.name === 'emit' &&
    span.traceId === TRACE_ID &&
    String(span.attributes['chaptercast.events']).includes(name)
  await waitFor(
    'both nodes’ spans are received',
    () => receiver.spans.filter(named('quiz_timeout')).length >= 2,
  )
})

t.test('a receiver that never answers holds up neither requests nor the shutdown', async (t) => {
  const receiver = await otlpReceiver(t, () => {})
  const forEver = { OTEL_EXPORTER_OTLP_TIMEOUT: '600000', OTEL_BSP_EXPORT_TIMEOUT: '600000' }
  const { url, close } = await buildTestApp(t, settings(receiver.url, forEver))
  t.equal((await post(`${url}/v1/chapter/`, CREATE_EXAMPLE)).status, 201)
  await waitFor('traces and metrics are sent', () => receiver.requests >= 2)
  t.equal((await post(`${url}/v1/chapter/`, CREATE_EXAMPLE)).status, 201)
  await close()
})

t.test('a receiver that is away, or answers nonsense, is told of once, and chapters go on', async (t) => {
  const nonsense = await otlpReceiver(t, (response) =>
    response.writeHead(400).end('\x08nonsense'.repeat(10_000)),
  )
  const away = `http://127.0.0.1:${await freePort()}`
  for (const endpoint of [away, nonsense.url]) {
    const lines: LogLine[] = []
    const env = settings(endpoint, { OTEL_EXPORTER_OTLP_TIMEOUT: '100', OTEL_BSP_EXPORT_TIMEOUT: '200' })
    const { url, close } = await buildTestApp(t, env, { logger: silentLog((line) => lines.push(line)) })
    const told = () => lines.filter(({ text }) => text === 'traces are not taken by OTLP; they are dropped')
    t.equal((await post(`${url}/v1/chapter/`, CREATE_EXAMPLE)).status, 201)
    await waitFor('the log says that traces are not taken', () => told().length > 0)
    t.equal((await post(`${url}/v1/chapter/`, CREATE_EXAMPLE)).status, 201)
    await close()
    t.equal(told().length, 1)
  }
})
