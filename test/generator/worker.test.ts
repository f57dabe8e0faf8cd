import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TSchema } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import t, { type Test } from 'tap'
import { FailCallback, FINISHES, ProgressCallback, StartCallback } from '../../src/contract/callback.js'
import type { GenerationMessage } from '../../src/contract/generation.js'
import { PARTIAL_BODIES } from '../../src/contract/partial.js'
import type { Locale } from '../../src/contract/scalar.js'
import { type GenerateContext, type Model, ModelError } from '../../src/generator/model.js'
import {
  AlreadyRunningError,
  CallbackUndeliveredError,
  createWorker,
  type WorkerOptions,
} from '../../src/generator/worker.js'

const RESULT = { title: '변수', content: '# 변수' }
const never = new AbortController().signal

t.test('a job is started, finished with the model’s result, and names its attempt throughout', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({ webhookSecret: 'secret' })
  await work(server.message(), never)
  t.strictSame(server.names(), ['concept-start', 'concept-finish'])
  t.strictSame(
    server.calls.map(({ body }) => body),
    [work1, { ...RESULT, ...work1 }],
  )
  for (const { headers } of server.calls) {
    t.match(headers, { authorization: 'Bearer secret', 'content-type': 'application/json' })
  }
})

t.test('without a webhook secret no credentials are sent', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({})
  await work(server.message(), never)
  t.equal(server.calls[0]?.headers.authorization, undefined)
})

t.test('the model is not asked when the server says not to run', async (t) => {
  for (const reason of ['completed', 'cancelled', 'superseded', 'running']) {
    const server = await fakeServer(t, { 'concept-start': () => ({ body: { run: false, reason } }) })
    const { work, asked, logged } = workerFor({})
    await work(server.message(), never)
    t.equal(asked(), 0, reason)
    t.strictSame(server.names(), ['concept-start'])
    t.match(logged, [{ level: 'info', reason, job_id: work1.job_id }])
  }
})

t.test('a queue that can redeliver hears when the job runs elsewhere', async (t) => {
  const server = await fakeServer(t, {
    'concept-start': () => ({ body: { run: false, reason: 'running' } }),
  })
  const { work, asked } = workerFor({ whenRunning: 'throw' })
  await t.rejects(work(server.message(), never), AlreadyRunningError)
  t.equal(asked(), 0)
})

t.test('a chapter that is gone ends the work at the start', async (t) => {
  const server = await fakeServer(t, { 'concept-start': () => problem(404, 'There is no chapter 1') })
  const { work, asked, logged } = workerFor({})
  await work(server.message(), never)
  t.equal(asked(), 0)
  t.match(logged, [{ level: 'warn', callback: 'start', problem: 'HTTP 404 There is no chapter 1' }])
})

t.test('a start whose answer was lost does not hold up its own work', async (t) => {
  const server = await fakeServer(t, {
    'concept-start': (n) => (n === 1 ? 'hang up' : { body: { run: false, reason: 'running' } }),
  })
  const { work } = workerFor({})
  await work(server.message(), never)
  t.strictSame(server.names(), ['concept-start', 'concept-start', 'concept-finish'])
})

t.test('a model that fails is reported with its reason and how long to wait', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({
    model: failing(new ModelError('too many requests', { reason: 'rate_limited', retryAfterS: 20 })),
  })
  await work(server.message(), never)
  t.strictSame(server.names(), ['concept-start', 'concept-fail'])
  t.strictSame(server.calls[1]?.body, {
    error: 'too many requests',
    reason: 'rate_limited',
    retryable: true,
    retry_after_s: 20,
    ...work1,
  })
})

t.test('a refusal by the model is not worth another attempt', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({ model: failing(new ModelError('no', { reason: 'refused' })) })
  await work(server.message(), never)
  t.match(server.calls[1]?.body, { reason: 'refused', retryable: false })
})

t.test('the server can store whatever a failing model says', async (t) => {
  const server = await fakeServer(t)
  const error = `\0 \ud800 ${'😀'.repeat(20_000)}`
  const { work } = workerFor({
    model: failing(new ModelError(error, { reason: 'unavailable', retryAfterS: 1e9 })),
  })
  await work(server.message(), never)
  const body = server.calls[1]?.body as FailCallback
  t.notMatch(body.error, /\0|\p{Cs}/u)
  t.equal(body.retry_after_s, 3600)
})

t.test('an unexpected fault is told in the chapter’s language and without its details', async (t) => {
  const said: string[] = []
  for (const locale of ['ko', 'en'] as const) {
    const server = await fakeServer(t)
    const { work, logged } = workerFor({ model: failing(new Error('https://key@internal')) })
    await work(server.message({ locale }), never)
    const body = server.calls[1]?.body as FailCallback
    t.match(body, { reason: 'model_error', retryable: true })
    t.notMatch(body.error, 'internal')
    t.match(logged, [{ level: 'warn', err: { message: 'https://key@internal' } }])
    said.push(body.error)
  }
  t.match(said[0], /[가-힣]/)
  t.match(said[1], /^[ -~]+$/)
})

t.test('a model that goes silent is given up and reported as a timeout', async (t) => {
  for (const model of [deaf, hanging]) {
    const server = await fakeServer(t)
    const { work } = workerFor({ model, modelTimeoutMs: 1 })
    await work(server.message(), never)
    t.match(server.calls[1], { name: 'concept-fail', body: { reason: 'timeout', retryable: true } })
  }
})

t.test('a model that goes on after it was given up is not heard', async (t) => {
  const server = await fakeServer(t)
  let late: GenerateContext['onProgress'] = () => {}
  const { work } = workerFor({
    model: modelOf(({ onProgress }) => {
      late = onProgress
      return new Promise(() => {})
    }),
    modelTimeoutMs: 1,
  })
  await work(server.message(), never)
  const before = timers()
  late(99, 'nearly')
  t.equal(timers(), before)
  await work(server.message(), never)
  t.notOk(server.names().includes('progress'))
})

t.test('progress is reported with its kind and never after the result', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({
    model: modelOf(async ({ onProgress }) => {
      for (let percent = 0; percent <= 100; percent += 5) onProgress(percent, `${percent}`)
      return RESULT
    }),
  })
  await work(server.message(), never)
  t.strictSame(server.names(), ['concept-start', 'progress', 'concept-finish'], 'only what was under way')
  t.strictSame(server.calls[1]?.body, { progress: 0, message: '0', kind: 'concept', ...work1 })
})

t.test('the newest progress replaces what could not be sent yet', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({
    model: modelOf(async ({ onProgress }) => {
      for (const percent of [-5, 30, Number.NaN, 60, 250]) onProgress(percent, `${percent}`)
      await server.received('progress', 2)
      return RESULT
    }),
  })
  await work(server.message(), never)
  const reported = server.calls.filter(({ name }) => name === 'progress').map(({ body }) => body.progress)
  t.strictSame(reported, [0, 100])
})

t.test('progress that cannot be reported fails nothing', async (t) => {
  for (const answer of [problem(503, 'busy'), problem(400, 'odd'), 'hang up'] as const) {
    const server = await fakeServer(t, { progress: () => answer })
    const { work } = workerFor({
      model: modelOf(async ({ onProgress }) => {
        onProgress(50, 'half')
        return RESULT
      }),
    })
    await work(server.message(), never)
    t.strictSame(server.names(), ['concept-start', 'progress', 'concept-finish'])
  }
})

t.test('a cancelled chapter stops the model, and nothing more is sent', async (t) => {
  for (const listens of [true, false]) {
    const server = await fakeServer(t, {
      progress: () => ({ body: { status: 'ignored', message: '', chapter_id: 1, cancelled: true } }),
    })
    let signal: AbortSignal | undefined
    const { work } = workerFor({
      model: modelOf((context) => {
        signal = context.signal
        context.onProgress(10, 'working')
        return listens ? untilAborted(context.signal) : new Promise(() => {})
      }),
    })
    await work(server.message(), never)
    t.equal(signal?.aborted, true)
    t.strictSame(server.names(), ['concept-start', 'progress'])
  }
})

t.test('a server that is busy is asked again, not before the time it named', async (t) => {
  for (const status of [503, 429]) {
    const server = await fakeServer(t, {
      'concept-finish': (n) => (n <= 2 ? problem(status, 'busy', { 'retry-after': '7' }) : success),
    })
    const { work, waits } = workerFor({ random: () => 0.5 })
    await work(server.message(), never)
    t.strictSame(server.names(), ['concept-start', ...Array(3).fill('concept-finish')])
    t.strictSame(waits, [7250, 7500], 'with jitter on top, that doubles')
  }
})

t.test('Retry-After may be a date, is capped, and is ignored when it makes no sense', async (t) => {
  const inAnHour = new Date(Date.now() + 3_600_000).toUTCString()
  const expected = { '86400': 60_000, [inAnHour]: 60_000, 'Thu, 01 Jan 1970 00:00:00 GMT': 0, soon: 0, '': 0 }
  for (const [value, waitMs] of Object.entries(expected)) {
    const server = await fakeServer(t, {
      'concept-start': (n) =>
        n === 1 ? problem(503, 'busy', { 'retry-after': value }) : { body: { run: true } },
    })
    const { work, waits } = workerFor({ random: () => 0 })
    await work(server.message(), never)
    t.strictSame(waits, [waitMs], value)
  }
})

t.test('what passes is tried again: time-outs, gateways, lost connections, another’s pages', async (t) => {
  for (const answer of [
    problem(408, ''),
    problem(500, ''),
    problem(502, ''),
    'hang up',
    { body: '<html>' },
  ] as const) {
    const server = await fakeServer(t, { 'concept-finish': (n) => (n === 1 ? answer : success) })
    const { work, waits } = workerFor({})
    await work(server.message(), never)
    t.strictSame(server.names(), ['concept-start', 'concept-finish', 'concept-finish'])
    t.equal(waits.length, 1)
  }
})

t.test('a server that never answers is given up within the request’s deadline', async (t) => {
  const server = await fakeServer(t, { 'concept-finish': (n) => (n === 1 ? 'stall' : success) })
  const { work, logged } = workerFor({ requestTimeoutMs: 200 })
  await work(server.message(), never)
  // Others may have been slow as well, on a busy machine.
  const finishes = server.names().filter((name) => name === 'concept-finish')
  t.ok(finishes.length >= 2, `it was asked ${finishes.length} times`)
  t.ok(logged.some((line) => line.problem === 'no answer within 200 ms' && line.callback === 'finish'))
})

t.test('a result that the server does not accept is final, and the log says why', async (t) => {
  const server = await fakeServer(t, { 'concept-finish': () => problem(400, '/body/title is missing') })
  const { work, logged } = workerFor({})
  await work(server.message(), never)
  t.strictSame(server.names(), ['concept-start', 'concept-finish'])
  t.match(logged, [{ level: 'warn', callback: 'finish', problem: 'HTTP 400 /body/title is missing' }])
})

t.test('a result too large to be read costs an attempt, not the whole deadline', async (t) => {
  const server = await fakeServer(t, { 'concept-finish': () => problem(413, 'too large') })
  const { work } = workerFor({})
  await work(server.message(), never)
  t.match(server.calls[2], { name: 'concept-fail', body: { reason: 'invalid_result' } })
})

t.test('a redirect is not followed: the result would be lost on the way', async (t) => {
  const server = await fakeServer(t, {
    'concept-finish': () => ({ status: 301, headers: { location: 'https://elsewhere/' }, body: '' }),
  })
  const { work, logged } = workerFor({})
  await work(server.message(), never)
  t.strictSame(server.names(), ['concept-start', 'concept-finish'])
  t.match(logged, [{ level: 'warn', problem: 'HTTP 301 redirected to https://elsewhere/' }])
})

t.test(
  'a server that is away is tried a bounded number of times, then the message is due again',
  async (t) => {
    const server = await fakeServer(t)
    const message = server.message()
    await server.close()
    const { work, waits, asked } = workerFor({ random: () => 0.999 })
    await t.rejects(work(message, never), {
      name: 'CallbackUndeliveredError',
      code: 'callback_undelivered',
      retryable: true,
      callback: 'start',
      tries: 8,
      message: /ECONNREFUSED/,
    })
    t.strictSame(
      waits.map((ms) => Math.round(ms / 500)),
      [1, 2, 4, 8, 16, 32, 60],
    )
    t.equal(asked(), 0)
  },
)

t.test('a result that cannot be delivered makes the message due again', async (t) => {
  const server = await fakeServer(t, { 'concept-finish': () => problem(503, 'down') })
  const { work } = workerFor({ maxTries: 3 })
  const error = await work(server.message(), never).catch((error: unknown) => error)
  t.ok(error instanceof CallbackUndeliveredError)
  t.strictSame(server.names(), ['concept-start', ...Array(3).fill('concept-finish')])
})

t.test('an abort stops at once wherever the work stands, and leaves no timers', async (t) => {
  const ok = (body: object) => Promise.resolve(new Response(JSON.stringify(body)))
  const pending: typeof fetch = (_url, init) => untilAborted(init?.signal)
  const places: Record<string, Partial<WorkerOptions>> = {
    'before the answer to the start': { fetch: pending },
    'while the model listens': { fetch: () => ok({ run: true }), model: hanging },
    'while the model is deaf': { fetch: () => ok({ run: true }), model: deaf },
    'while progress is reported': {
      fetch: (url, init) => (String(url).endsWith('start') ? ok({ run: true }) : pending(url, init)),
      model: modelOf(async ({ onProgress }) => {
        onProgress(1, '')
        return RESULT
      }),
    },
    'before the answer to the finish': {
      fetch: (url, init) => (String(url).endsWith('start') ? ok({ run: true }) : pending(url, init)),
    },
    'between two tries': {
      fetch: () => Promise.resolve(new Response('', { status: 503, headers: { 'retry-after': '60' } })),
    },
  }
  for (const [place, options] of Object.entries(places)) {
    const before = timers()
    const abort = new AbortController()
    // The default delay: a wait that was abandoned must take its timer along.
    const work = createWorker({ model: modelOf(async () => RESULT), log: silent, ...options })
    const done = work(messageFor('http://localhost'), abort.signal)
    await new Promise(setImmediate)
    t.ok(timers() > before, `${place}: it had a bound`)
    abort.abort(new Error('shutting down'))
    await t.rejects(done, { message: 'shutting down' }, place)
    t.equal(timers(), before, `${place}: nothing is left`)
  }
})

t.test('work that is aborted before it begins asks nobody', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({})
  await t.rejects(work(server.message(), AbortSignal.abort(new Error('closed'))), { message: 'closed' })
  t.strictSame(server.names(), [])
})

t.test('many jobs may share one signal without a warning', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const server = await fakeServer(t)
  const { work } = workerFor({})
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 50 }, () => work(server.message(), signal)))
  await new Promise(setImmediate)
  t.strictSame(warnings, [])
})

const work1 = { job_id: '7b1c2c9e-3a52-4f0e-9c55-0a3b9f2f7f11', attempt: 1 }

function messageFor(url: string, locale: Locale = 'ko'): GenerationMessage {
  const chapter = `${url}/v1/chapter/1`
  return {
    ...work1,
    kind: 'concept',
    max_attempts: 3,
    chapter_id: 1,
    course_id: 1,
    owner_id: 1,
    title: '변수와 자료형',
    description: 'Python 기초',
    locale,
    quiz_count: 3,
    metadata: {},
    requested_at: '2026-01-31T09:00:00.000Z',
    deadline_at: '2026-01-31T09:10:00.000Z',
    callback: {
      start_url: `${chapter}/concept-start`,
      finish_url: `${chapter}/concept-finish`,
      fail_url: `${chapter}/concept-fail`,
      progress_url: `${chapter}/progress`,
    },
  }
}

type CallName = 'concept-start' | 'concept-finish' | 'concept-fail' | 'concept-partial' | 'progress'
type Answer = 'hang up' | 'stall' | { status?: number; headers?: Record<string, string>; body: unknown }

const success: Answer = { body: { status: 'success', message: 'stored', chapter_id: 1 } }
const answers: Record<CallName, Answer> = {
  'concept-start': { body: { run: true, deadline_at: '2026-01-31T09:10:00.000Z' } },
  'concept-finish': success,
  'concept-fail': success,
  'concept-partial': { body: { status: 'success', chapter_id: 1, length: 0 } },
  progress: success,
}

function problem(status: number, detail: string, headers: Record<string, string> = {}) {
  return { status, headers, body: { type: 'about:blank', title: '', status, detail } }
}

const ajv = new Ajv({ strict: false })
formats.default(ajv)
const SCHEMAS: Record<CallName, TSchema> = {
  'concept-start': StartCallback,
  'concept-finish': FINISHES.concept,
  'concept-fail': FailCallback,
  'concept-partial': PARTIAL_BODIES.concept,
  progress: ProgressCallback,
}

/** The server’s webhooks, as scripted; `n` counts the calls of one name from 1. Every body must keep the contract. */
async function fakeServer(t: Test, script: Partial<Record<CallName, (n: number) => Answer>> = {}) {
  const calls: { name: CallName; headers: IncomingHttpHeaders; body: Record<string, unknown> }[] = []
  const listeners = new Set<() => void>()
  const server = createServer(async (request, response) => {
    const name = request.url?.split('/').at(-1) as CallName
    let text = ''
    for await (const chunk of request) text += chunk
    const body = JSON.parse(text)
    t.ok(ajv.validate(SCHEMAS[name], body), `${name} keeps the contract`, { errors: ajv.errors })
    calls.push({ name, headers: request.headers, body })
    for (const listener of listeners) listener()
    const n = calls.filter((call) => call.name === name).length
    const answer = script[name]?.(n) ?? answers[name]
    if (answer === 'hang up') return request.socket.destroy()
    if (answer === 'stall') return
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers })
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  t.teardown(close)
  return {
    calls,
    close,
    names: () => calls.map(({ name }) => name),
    message: ({ locale }: { locale?: Locale } = {}) => messageFor(`http://127.0.0.1:${port}`, locale),
    received: (name: CallName, count: number) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (calls.filter((call) => call.name === name).length < count) return
          listeners.delete(check)
          resolve()
        }
        listeners.add(check)
        check()
      }),
  }
}

type Logged = { level: string; [field: string]: unknown }

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** A worker that waits for nothing, and what it asked, waited and logged above debug. */
function workerFor(options: Partial<WorkerOptions>) {
  const waits: number[] = []
  const logged: Logged[] = []
  const record = (level: string) => (fields: object) => void logged.push({ ...fields, level })
  let count = 0
  const model = options.model ?? modelOf(async () => RESULT)
  const work = createWorker({
    log: { ...silent, info: record('info'), warn: record('warn'), error: record('error') },
    delay: async (ms) => void waits.push(ms),
    ...options,
    model: {
      ...model,
      generate(message, context) {
        count++
        return model.generate(message, context)
      },
    },
  })
  return { work, waits, logged, asked: () => count }
}

function modelOf(generate: (context: GenerateContext) => Promise<unknown>): Model {
  return { generate: (_message, context) => generate(context) as never }
}

function failing(error: Error): Model {
  return modelOf(() => Promise.reject(error))
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

const deaf = modelOf(() => new Promise(() => {}))
const hanging = modelOf(({ signal }) => untilAborted(signal))

function untilAborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')), { once: true })
  })
}

const partialAnswer = (length: number, more: object = {}) => ({
  body: { status: 'success', chapter_id: 1, length, ...more },
})

t.test('the text so far is posted as it grows: first whole, then what is new', async (t) => {
  const server = await fakeServer(t, {
    'concept-partial': (n) => partialAnswer([4, 8, 8][n - 1] ?? 0),
  })
  const { work } = workerFor({
    model: modelOf(async ({ onText }) => {
      for (const [index, text] of ['one ', 'one two ', 'one two'].entries()) {
        onText({ text })
        await server.received('concept-partial', index + 1)
      }
      return RESULT
    }),
  })
  await work(withPartials(server.message()), never)
  t.same(
    server.calls.filter(({ name }) => name === 'concept-partial').map(({ body }) => body),
    [
      { text: 'one ', ...work1 },
      { text: 'two ', offset: 4, ...work1 },
      { text: 'one two', ...work1 },
    ],
    'a text that does not go on is sent whole',
  )
  t.equal(server.names().at(-1), 'concept-finish')
})

t.test('where the server has another length, the worker goes on there', async (t) => {
  const server = await fakeServer(t, {
    'concept-partial': (n) =>
      n === 2 ? partialAnswer(3, { status: 'ignored' }) : partialAnswer(n === 1 ? 5 : 10),
  })
  const { work } = workerFor({
    model: modelOf(async ({ onText }) => {
      for (const [index, text] of ['12345', '1234567', '1234567890'].entries()) {
        onText({ text })
        await server.received('concept-partial', index + 1)
      }
      return RESULT
    }),
  })
  await work(withPartials(server.message()), never)
  t.match(server.calls.filter(({ name }) => name === 'concept-partial')[2]?.body, {
    text: '4567890',
    offset: 3,
  })
})

t.test('no more text is posted than a server takes', async (t) => {
  const server = await fakeServer(t, { 'concept-partial': () => partialAnswer(1) })
  const { work } = workerFor({
    model: modelOf(async ({ onText }) => {
      onText({ text: '가'.repeat(40_000) })
      await server.received('concept-partial', 1)
      return RESULT
    }),
  })
  await work(withPartials(server.message()), never)
  const text = String(server.calls.find(({ name }) => name === 'concept-partial')?.body.text)
  t.ok(Buffer.byteLength(text) <= 65_536)
  t.match(text, /^가{20000,}$/)
})

t.test('a server that takes no text is not asked again', async (t) => {
  const server = await fakeServer(t, { 'concept-partial': () => problem(404, 'no such address') })
  const { work } = workerFor({
    model: modelOf(async ({ onText, onProgress }) => {
      onText({ text: 'one' })
      await server.received('concept-partial', 1)
      await new Promise((resolve) => setTimeout(resolve, 50))
      onText({ text: 'one two' })
      onProgress(50, 'half')
      await server.received('progress', 1)
      return RESULT
    }),
  })
  await work(withPartials(server.message()), never)
  t.equal(server.names().filter((name) => name === 'concept-partial').length, 1)
  const older = await fakeServer(t)
  const { work: workOfOlder } = workerFor({
    model: modelOf(async ({ onText }) => {
      onText({ text: 'one' })
      return RESULT
    }),
  })
  await workOfOlder(older.message(), never)
  t.same(older.names(), ['concept-start', 'concept-finish'], 'a message without its address')
})

t.test('a cancel is heard while the model is silent, and it is hung up on', async (t) => {
  const cancelled = { status: 'ignored', chapter_id: 1, length: 0, message: '', cancelled: true }
  for (const isOlder of [false, true]) {
    const name = isOlder ? 'progress' : 'concept-partial'
    const server = await fakeServer(t, {
      [name]: (n: number): Answer => (n < 3 ? partialAnswer(0, { message: '' }) : { body: cancelled }),
    })
    let signal: AbortSignal | undefined
    const { work } = workerFor({
      heartbeatMs: 20,
      model: modelOf((context) => {
        signal = context.signal
        return untilAborted(context.signal)
      }),
    })
    const message = server.message()
    await work(isOlder ? message : withPartials(message), never)
    t.equal(signal?.aborted, true)
    t.same(server.names(), ['concept-start', name, name, name])
  }
})

t.test('a model without heartbeats is left to its deadline', async (t) => {
  const server = await fakeServer(t)
  const { work } = workerFor({
    heartbeatMs: 5,
    model: {
      hasHeartbeat: false,
      async generate() {
        await new Promise((resolve) => setTimeout(resolve, 60))
        return RESULT as never
      },
    },
  })
  await work(withPartials(server.message()), never)
  t.same(server.names(), ['concept-start', 'concept-finish'])
})

function withPartials(message: GenerationMessage): GenerationMessage {
  const partialUrl = message.callback.finish_url.replace('-finish', '-partial')
  return { ...message, callback: { ...message.callback, partial_url: partialUrl } }
}
