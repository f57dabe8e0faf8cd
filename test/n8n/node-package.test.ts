/**
 * The n8n community node package, cheaply: without its dev dependencies, its sources bundled here with a stand-in for
 * `n8n-workflow`. Its own tool builds and lints it (`npm run build`, `npm run lint` in its folder).
 */
import { createHmac } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { compileFunction } from 'node:vm'
import { buildSync } from 'esbuild'
import t, { type Test } from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { promptOf } from '../../src/generator/prompt.js'
import { STRICT_SCHEMAS } from '../../src/generator/result-schema.js'
import { exampleWorkflow } from '../../src/n8n/example.js'
import { generatedForNode } from '../../src/n8n/node-package.js'
import { MESSAGE } from '../support/message.js'

const folder = new URL('../../deploy/n8n/node/', import.meta.url)
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8')

t.test('the package is structured as n8n’s verification asks', async (t) => {
  const manifest = JSON.parse(read('package.json'))
  t.match(manifest, {
    name: 'n8n-nodes-chaptercast',
    license: 'MIT',
    keywords: ['n8n-community-node-package'],
    files: ['dist'],
    n8n: { n8nNodesApiVersion: 1, strict: true },
    peerDependencies: { 'n8n-workflow': '*' },
    scripts: { build: 'n8n-node build', lint: 'n8n-node lint', prepublishOnly: 'n8n-node prerelease' },
  })
  t.equal(manifest.dependencies, undefined, 'no runtime dependencies')
  for (const file of [...manifest.n8n.nodes, ...manifest.n8n.credentials])
    t.ok(existsSync(new URL(file.replace(/^dist\//, '').replace(/\.js$/, '.ts'), folder)), file)
  for (const file of ['README.md', 'LICENSE.md', 'icons/chaptercast.svg', 'icons/chaptercast.dark.svg'])
    t.ok(existsSync(new URL(file, folder)), file)
  t.notMatch(read('package-lock.json'), /"resolved"/, 'no registry is named')
  const root = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  t.strictSame(root.workspaces, ['src/client'], 'its dev dependencies are not the project’s')
})

t.test('prompts, schemas and the example are what `npm run generate` writes', async (t) => {
  t.equal(read('nodes/Chaptercast/generated.ts'), generatedForNode())
  t.equal(read('example-workflow.json'), `${JSON.stringify(exampleWorkflow(), null, 2)}\n`)
  const { nodes } = exampleWorkflow()
  t.equal(nodes.length, 6)
  const expressions = JSON.stringify(nodes.map(({ parameters }) => parameters)).match(/"=/g)
  t.equal(expressions?.length, 4)
})

t.test('a job that is wanted is passed on with the project’s own prompt and schema', async (t) => {
  for (const kind of JOB_KINDS)
    for (const wrap of [
      (message: object) => message,
      (message: object) => ({ message, topic: 'quiz-generation' }),
      (message: object) => ({ message: JSON.stringify(message) }),
      (message: object) => ({ headers: {}, body: message }),
    ]) {
      const server = await startServer(t, () => [200, { run: true, deadline_at: '2026-01-31T10:00:00.000Z' }])
      const message = { ...server.message(kind), revision: 2, instruction: '짧게', current: { title: 'a' } }
      const { items, noted } = await server.run('begin', wrap(message))
      t.strictSame(server.calls, [[`/v1/chapter/1/${kind}-start?job_id=${MESSAGE.job_id}&attempt=1`, {}]])
      t.match(items, [
        {
          ...message,
          ...promptOf(message),
          deadline_at: '2026-01-31T10:00:00.000Z',
          schema: STRICT_SCHEMAS[kind],
        },
      ])
      t.match(noted, { chapter_id: '1', kind, attempt: '1' })
    }
})

t.test('a job that is not wanted is dropped, and a secret that is refused is an error', async (t) => {
  for (const reason of ['completed', 'cancelled', 'superseded', 'running']) {
    const server = await startServer(t, () => [200, { run: false, reason }])
    const { items, noted } = await server.run('begin', server.message('quiz'))
    t.strictSame([items, noted.outcome], [[], `not wanted: ${reason}`])
  }
  const server = await startServer(t, () => [401, { detail: 'no' }])
  await t.rejects(server.run('begin', server.message('quiz')), /webhook secret/)
  await t.rejects(server.run('begin', { hello: 'world' }), /holds no job/)
})

t.test('after an answer that was lost, what runs is this very run', async (t) => {
  const server = await startServer(t, (nth) =>
    nth === 1 ? [503, {}] : [200, { run: false, reason: 'running' }],
  )
  t.equal((await server.run('begin', server.message('quiz'))).items.length, 1)
})

t.test('an answer is delivered as it came, with the secret, once the server is back', async (t) => {
  const answers: [number, unknown][] = [
    [503, {}],
    [502, '<html>'],
    [200, '<html>'],
    [302, {}],
    [429, {}],
    [200, { status: 'success', message: 'stored', chapter_id: 1 }],
  ]
  const server = await startServer(t, (nth) => answers[nth - 1] ?? [500, {}])
  const { items, noted, slept } = await server.run('deliver', { text: 'x' }, { answer: '{"title": "a"} ```' })
  t.equal(server.calls.length, answers.length)
  t.strictSame(server.calls.at(-1)?.[1], { raw: '{"title": "a"} ```' })
  t.strictSame(new Set(server.secrets), new Set(['Bearer sekret']))
  t.match(items, [{ status: 'success' }])
  t.equal(noted.outcome, 'finished')
  t.equal(slept.length, answers.length - 1)
  t.ok(slept.every((ms) => ms >= 500 && ms <= 15_000))
})

t.test('an answer that is refused, or cannot be delivered in time, makes the execution red', async (t) => {
  const refusing = await startServer(t, () => [400, { detail: '/content says nothing' }])
  await t.rejects(refusing.run('deliver', {}, { answer: '' }), /says nothing/)
  t.equal(refusing.calls.length, 1)
  const away = await startServer(t, () => [503, {}])
  const late = { ...away.message('quiz'), deadline_at: '2020-01-01T00:00:00.000Z' }
  await t.rejects(away.run('deliver', {}, { answer: 'x' }, late), /could not be told in time/)
})

t.test('a failure is recognised by its words, told to the server, and red', async (t) => {
  const FAILURES: [unknown, object][] = [
    ['The service is receiving too many requests from you', { reason: 'rate_limited', retry_after_s: 30 }],
    [{ message: 'Rate limit reached', httpCode: '429' }, { reason: 'rate_limited' }],
    ['You exceeded your current quota', { reason: 'model_error', retryable: false }],
    ['Authorization failed - please check your credentials', { reason: 'model_error', retryable: false }],
    ['connect ECONNREFUSED 127.0.0.1:1', { reason: 'unavailable', retry_after_s: 15 }],
    ['connect ETIMEDOUT 192.0.2.1:443', { reason: 'unavailable', retry_after_s: 15 }],
    ['The service was not able to process your request', { reason: 'unavailable' }],
    ['Request timed out.', { reason: 'timeout' }],
    ['Model output doesn’t fit required format', { reason: 'invalid_result', retryable: true }],
    ['something odd', { reason: 'model_error', retryable: true }],
    [undefined, { reason: 'model_error', error: 'The worker gave no reason' }],
  ]
  for (const [error, failure] of FAILURES) {
    const server = await startServer(t, () => [200, { status: 'success' }])
    await t.rejects(server.run('fail', {}, { error, options: {} }), /^failed: |failed: /)
    t.match(server.calls, [[/quiz-fail/, failure]])
  }
  const server = await startServer(t, () => [200, { status: 'success' }])
  const options = { reason: 'refused', endRed: false, retryAfter: 60 }
  const { items, noted } = await server.run('fail', {}, { error: 'no', options })
  t.match(server.calls, [[/quiz-fail/, { reason: 'refused', retryable: false, retry_after_s: 60 }]])
  t.match(items, [{ status: 'success' }])
  t.equal(noted.outcome, 'failed: refused')
})

t.test('progress passes the item on, unless the chapter was cancelled', async (t) => {
  for (const cancelled of [false, true]) {
    const server = await startServer(t, () => [200, { status: 'success', cancelled }])
    const { items } = await server.run('progress', { user: 'u' }, { progress: 40, message: 'hm' })
    t.strictSame(items, cancelled ? [] : [{ user: 'u' }])
    t.match(server.calls, [[/progress/, { progress: 40, message: 'hm', kind: 'quiz' }]])
  }
  const away = await startServer(t, () => [503, {}])
  t.equal((await away.run('progress', {}, { progress: 1, message: '' })).items.length, 1)
  t.equal(away.calls.length, 1, 'a late report is worth nothing')
})

t.test('the trigger takes signed jobs, and unsigned ones only of its own server', async (t) => {
  const secret = `whsec_${Buffer.from('a secret of 24 bytes ...').toString('base64')}`
  const message = messageOf('quiz', 'http://localhost:8000')
  const body = JSON.stringify(message)
  const sign = (text: string, at: number, key = secret) => {
    const seconds = String(Math.floor(at / 1000))
    const bytes = Buffer.from(key.slice('whsec_'.length), 'base64')
    const signature = createHmac('sha256', bytes).update(`m1.${seconds}.${text}`).digest('base64')
    return {
      'webhook-id': 'm1',
      'webhook-timestamp': seconds,
      'webhook-signature': `v1,AAAA v1,${signature}`,
    }
  }
  const now = Date.now()
  const other = `whsec_${Buffer.from('another').toString('base64')}`
  const cases: [string, object, object, object, number | undefined][] = [
    ['signed', { dispatchSecret: secret }, sign(body, now), message, undefined],
    [
      'signed with the old secret',
      { dispatchSecret: `${other}, ${secret}` },
      sign(body, now),
      message,
      undefined,
    ],
    ['unsigned', { dispatchSecret: secret }, {}, message, 401],
    ['signed by another', { dispatchSecret: secret }, sign(body, now, other), message, 401],
    ['signed for another body', { dispatchSecret: secret }, sign('{}', now), message, 401],
    ['signed long ago', { dispatchSecret: secret }, sign(body, now - 600_000), message, 401],
    ['no secret, its own server', { dispatchSecret: '' }, {}, message, undefined],
    ['no secret, a foreign server', { dispatchSecret: '', baseUrl: 'http://localhost:80' }, {}, message, 403],
    ['no job', { dispatchSecret: '' }, {}, { hello: 1 }, 400],
  ]
  for (const [about, credential, headers, given, status] of cases) {
    let answered: number | undefined
    const answer = await new nodes.ChaptercastTrigger().webhook.call({
      getCredentials: async () => ({ baseUrl: 'http://localhost:8000/', ...credential }),
      getHeaderData: () => headers,
      getRequestObject: () => ({ rawBody: Buffer.from(JSON.stringify(given)) }),
      getBodyData: () => given,
      getResponseObject: () => ({
        status: (code: number) => {
          answered = code
          return { json: () => undefined }
        },
      }),
    })
    t.equal(answered, status, about)
    if (status === undefined) t.strictSame(answer.workflowData, [[{ json: message }]], about)
    else t.strictSame(answer, { noWebhookResponse: true }, about)
  }
})

type Json = Record<string, unknown>
interface NodeModule {
  Chaptercast: new () => { execute: { call(context: object): Promise<{ json: Json }[][]> } }
  ChaptercastTrigger: new () => {
    webhook: { call(context: object): Promise<{ workflowData?: unknown; noWebhookResponse?: boolean }> }
  }
}

const slept: number[] = []
const nodes = loadNodes()

/** The package’s nodes, as n8n would load them. */
function loadNodes(): NodeModule {
  const path = (name: string) => new URL(`nodes/${name}/${name}.node.ts`, folder).pathname
  const names = ['Chaptercast', 'ChaptercastTrigger']
  const { outputFiles } = buildSync({
    stdin: {
      contents: names.map((name) => `export * from ${JSON.stringify(path(name))}`).join('\n'),
      resolveDir: folder.pathname,
    },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    external: ['n8n-workflow'],
  })
  class NodeOperationError extends Error {
    constructor(_node: unknown, cause: Error | string) {
      super(typeof cause === 'string' ? cause : cause.message)
    }
  }
  const stub = {
    NodeConnectionTypes: { Main: 'main' },
    NodeOperationError,
    sleep: async (ms: number) => void slept.push(ms),
  }
  const module = { exports: {} }
  const require = createRequire(import.meta.url)
  const load = (name: string): unknown => (name === 'n8n-workflow' ? stub : require(name))
  compileFunction(outputFiles[0]?.text ?? '', ['module', 'exports', 'require'])(module, module.exports, load)
  return module.exports as unknown as NodeModule
}

function messageOf(kind: (typeof JOB_KINDS)[number], base: string) {
  const url = (path: string) => `${base}/v1/chapter/1/${path}?job_id=${MESSAGE.job_id}&attempt=1`
  return {
    ...MESSAGE,
    kind,
    deadline_at: new Date(Date.now() + 60_000).toISOString(),
    callback: {
      start_url: url(`${kind}-start`),
      finish_url: url(`${kind}-finish`),
      fail_url: url(`${kind}-fail`),
      progress_url: url('progress'),
    },
  }
}

/** A server of webhooks, and the node running against it in a context like n8n’s. */
async function startServer(t: Test, answer: (nth: number) => [status: number, body: unknown]) {
  const calls: [path: string, body: unknown][] = []
  const secrets: unknown[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    calls.push([request.url ?? '', JSON.parse(text)])
    secrets.push(request.headers.authorization)
    const [status, body] = answer(calls.length)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const message = (kind: (typeof JOB_KINDS)[number]) => messageOf(kind, base)

  /** @param begun what “Begin a Job” passed on before this node */
  async function run(operation: string, json: object, given: Json = {}, begun: object = message('quiz')) {
    const parameters: Json = { operation, ...given }
    const noted: Json = {}
    slept.length = 0
    const node = { name: 'Now', type: 'n8n-nodes-chaptercast.chaptercast' }
    const output = await new nodes.Chaptercast().execute.call({
      getInputData: () => [{ json }],
      getNode: () => node,
      getNodeParameter: (name: string, _item: number, fallback: unknown) => parameters[name] ?? fallback,
      getParentNodes: () => [
        { name: 'Model', type: 'other', parameters: {} },
        { name: 'Begin a "Job"', type: node.type, parameters: { operation: 'begin' } },
      ],
      evaluateExpression: (expression: string) =>
        expression.includes('$("Begin a \\"Job\\"").first().json') ? begun : undefined,
      customData: { setAll: (values: Json) => Object.assign(noted, values) },
      continueOnFail: () => false,
      logger: { debug: () => undefined },
      helpers: {
        async httpRequestWithAuthentication(credential: string, request: { url: string; body: unknown }) {
          t.equal(credential, 'chaptercastApi')
          const response = await fetch(request.url, {
            method: 'POST',
            headers: { 'content-type': 'application/json', authorization: 'Bearer sekret' },
            body: JSON.stringify(request.body),
            redirect: 'manual',
          })
          const headers = Object.fromEntries(response.headers)
          return { statusCode: response.status, headers, body: await response.json() }
        },
      },
    })
    const items = (output[0] ?? []).map((item) => JSON.parse(JSON.stringify(item.json)) as Json)
    return { items, noted, slept: [...slept] }
  }
  return { calls, secrets, message, run }
}
