import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { freePort, waitFor } from '../support/condition.js'
import { generationMessageOf, kafkaConfig, produce } from '../support/kafka.js'

t.test('`npm run generator` says what it lacks without Kafka', async (t) => {
  const { child, output } = generator(t, { KAFKA_BROKERS: '' })
  const [code] = await once(child, 'exit')
  t.equal(code, 1)
  t.match(output(), /needs KAFKA_BROKERS/)
})

t.test(
  '`npm run generator` answers a job over the webhooks, tells its health, and leaves in order',
  async (t) => {
    const { brokers, topicPrefix } = kafkaConfig()
    const config = { ...kafkaConfig(), topicPrefix }
    const server = await webhooks(t)
    const port = await freePort()
    const { child, output } = generator(t, {
      KAFKA_BROKERS: brokers.join(','),
      KAFKA_TOPIC_PREFIX: topicPrefix,
      WEBHOOK_SECRET: 'new-secret,old-secret',
      NODE_ENV: 'production',
      GENERATOR_DELAY_MS: '40',
      PORT: String(port),
    })
    const health = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).then(({ status }) => status)
    await waitFor('it to consume', async () => (await health('/readyz')) === 200, { timeoutMs: 30_000 })
    t.equal(await health('/healthz'), 200)

    const message = generationMessageOf({ kind: 'quiz', chapter_id: 3 })
    const base = `${server.url}/v1/chapter/3`
    message.callback = {
      start_url: `${base}/quiz-start`,
      finish_url: `${base}/quiz-finish`,
      fail_url: `${base}/quiz-fail`,
      progress_url: `${base}/progress`,
    }
    await produce(config, [message])
    await waitFor('the result', () => server.calls.find(({ path }) => path.endsWith('/quiz-finish')))
    const paths = server.calls.map(({ path }) => path.replace('/v1/chapter/3/', ''))
    t.equal(paths[0], 'quiz-start')
    t.ok(paths.includes('progress'))
    for (const { authorization } of server.calls) t.equal(authorization, 'Bearer new-secret')
    t.notMatch(output(), /secret/)

    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    t.equal(code, 0)
    t.match(output(), /SIGTERM: leaving/)
  },
)

t.test('four messages with an impossible deadline or callback do not end `npm run generator`', async (t) => {
  const config = kafkaConfig()
  const server = await webhooks(t)
  const port = await freePort()
  generator(t, {
    KAFKA_BROKERS: config.brokers.join(','),
    KAFKA_TOPIC_PREFIX: config.topicPrefix,
    GENERATOR_DELAY_MS: '0',
    PORT: String(port),
  })
  const health = async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).json()
  const good = generationMessageOf({ chapter_id: 3 })
  const url = `${server.url}/v1/chapter/3`
  good.callback = {
    start_url: `${url}/concept-start`,
    finish_url: `${url}/concept-finish`,
    fail_url: `${url}/concept-fail`,
    progress_url: `${url}/progress`,
  }
  const nowhere = { ...good.callback, start_url: 'nowhere' }
  await produce(config, [
    ...['no time', ''].map((deadline_at) => ({ ...generationMessageOf(), deadline_at })),
    ...[nowhere, nowhere].map((callback) => ({ ...generationMessageOf(), callback })),
    good,
  ])
  await waitFor('the good one’s result', () => server.calls.some(({ path }) => path.endsWith('-finish')), {
    timeoutMs: 30_000,
  })
  t.match(await health(), { status: 'ok', passed_over: 4 })
})

function generator(t: Test, env: Record<string, string>) {
  const child = spawn(process.execPath, ['dist/generator/main.js'], {
    env: { ...process.env, HOST: '127.0.0.1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
    })
  return { child, output: () => said }
}

interface Call {
  path: string
  authorization: string | undefined
}

/** A server that wants every job and takes every result. */
async function webhooks(t: Test): Promise<{ url: string; calls: Call[] }> {
  const calls: Call[] = []
  const server = createServer(async (request: IncomingMessage, response) => {
    await text(request)
    const path = request.url ?? ''
    calls.push({ path, authorization: request.headers.authorization })
    const answer = path.endsWith('-start') ? { run: true } : { status: 'success' }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls }
}
