/**
 * A model that says nothing for longer than the 300 seconds after which Node's own `fetch` gives up: before it answers,
 * and in the middle of its answer. Takes more than five minutes.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createOpenAiModel } from '../../src/generator/openai.js'
import { generationMessageOf } from '../support/kafka.js'

const SILENCE_MS = 310_000

t.setTimeout(3 * SILENCE_MS)

t.test('a model that is silent for more than five minutes is waited for', async (t) => {
  const data = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`
  const server = createServer((request, response) => {
    request.resume()
    const isLate = request.url?.startsWith('/late')
    if (!isLate) response.writeHead(200, { 'content-type': 'text/event-stream' }).write(data('{"title":"a",'))
    setTimeout(
      () => response.end(`${isLate ? data('{"title":"a",') : ''}${data('"content":"b"}')}data: [DONE]\n\n`),
      SILENCE_MS,
    )
  })
  server.requestTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const answers = await Promise.all(
    ['late', 'halting'].map((path) => {
      const config = {
        ...{
          baseUrl: `http://127.0.0.1:${port}/${path}`,
          apiKey: undefined,
          model: 'm',
          silenceMs: 3_600_000,
        },
        ...{ maxTokens: undefined, temperature: undefined, extraBody: {} },
      }
      return createOpenAiModel(config, { log }).generate(generationMessageOf(), {
        signal: new AbortController().signal,
        onProgress() {},
        onText() {},
      })
    }),
  )
  t.same(answers, Array(2).fill({ raw: '{"title":"a","content":"b"}' }))
})
