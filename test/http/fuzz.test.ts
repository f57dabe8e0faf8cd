/**
 * Nothing that a caller can send is answered 500: good requests over all routes, changed at random. The seed is
 * printed and can be given again as FUZZ_SEED.
 */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, FINISH_BODIES } from '../support/client.js'
import { seeded } from '../support/random.js'
import { viewJob } from '../support/views.js'

const REQUESTS = 2000
const seed = Number(process.env.FUZZ_SEED ?? 20_260_131)

const random = seeded(seed)
const { pick } = random

const VALUES: unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1,
  0.1,
  1e21,
  1e-9,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  1e308,
  '',
  ' ',
  'x',
  '0',
  'null',
  '\0',
  '\ud800',
  'a\udfffb',
  '가',
  '🧑‍🏫',
  '\u2028\n\r',
  "'; drop table chapter; --",
  '%00',
  '{}',
  '$1',
  'x'.repeat(300),
  '가'.repeat(4000),
  'NaN',
  '5f0c9d8e-2f43-4c4e-8c6e-0a1b2c3d4e5f',
  [],
  {},
  [[]],
  [null],
  { a: { b: [] } },
  { '': '' },
  { 'a\0': 1 },
  { toString: 1, length: -1 },
  Array(30).fill('a'),
]
const NAMES = [
  'title',
  'content',
  'quizzes',
  'options',
  'attempt',
  'job_id',
  'kind',
  'type',
  'metadata',
  'x',
  '',
  'constructor',
  'toString',
  'length',
  'a\0',
  '__proto__',
]
const IDS = [
  '0',
  '-1',
  '1.5',
  'abc',
  '%00',
  '%ZZ',
  '%F0%9F%92%A9',
  '9007199254740991',
  '9007199254740993',
  '1e3',
  '',
  ' ',
  '..',
  '1'.repeat(40),
  "1'--",
  '\u0001',
]

function mutate(value: unknown, depth = 0): unknown {
  if (random() < 0.25 || depth > 4) return pick(VALUES)
  if (Array.isArray(value)) {
    const copy = value.map((item) => (random() < 0.5 ? mutate(item, depth + 1) : item))
    if (random() < 0.3) copy.push(pick(VALUES))
    if (random() < 0.2) copy.pop()
    return copy
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(() => random() > 0.1)
    const changed = entries.map(([name, inner]) => [name, random() < 0.4 ? mutate(inner, depth + 1) : inner])
    if (random() < 0.3) changed.push([pick(NAMES), pick(VALUES)])
    return Object.fromEntries(changed)
  }
  return pick(VALUES)
}

/** JSON whose bytes are changed here and there. */
function corrupt(text: string): Buffer {
  const bytes = Buffer.from(text)
  for (let i = 0; i < 1 + random() * 4 && bytes.length > 0; i++)
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
  return bytes.subarray(0, random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length)
}

interface Good {
  method: 'GET' | 'POST'
  path: (id: string) => string
  body?: object
}

t.test(
  `${REQUESTS} good requests changed at random are never answered with a fault (seed ${seed})`,
  async (t) => {
    const { app, url } = await buildTestApp(t, { GENERATION_RETRY_BASE_MS: '0' })
    const ids: number[] = []
    for (let i = 0; i < 5; i++) ids.push(await createChapter(url))
    const { job_id } = await viewJob(url, ids[0] as number, 'concept')
    const work = { job_id, attempt: 1 }
    const webhooks: [name: string, body: object][] = [
      ['concept-finish', { ...FINISH_BODIES.concept, ...work }],
      ['exercise-finish', { ...FINISH_BODIES.exercise, attempt: 1 }],
      ['quiz-finish', { ...FINISH_BODIES.quiz, attempt: 1 }],
      ['concept-start', work],
      ['concept-fail', { error: 'x', reason: 'timeout', retryable: true, retry_after_s: 1, ...work }],
      ['quiz-fail', { error: 'x', attempt: 1 }],
      ['progress', { progress: 50, message: 'x', kind: 'quiz', attempt: 1 }],
      ['retry', {}],
      ['cancel', {}],
    ]
    const good: Good[] = [
      {
        method: 'POST',
        path: () => '/v1/chapter/',
        body: { ...CREATE_EXAMPLE, locale: 'en', quiz_count: 2, metadata: { a: [1] } },
      },
      ...webhooks.map(
        ([name, body]): Good => ({ method: 'POST', path: (id) => `/v1/chapter/${id}/${name}`, body }),
      ),
      ...['', '/learning', '/learning?answers=true', '/events', '/events?after=2'].map(
        (rest): Good => ({ method: 'GET', path: (id) => `/v1/chapter/${id}${rest}` }),
      ),
      { method: 'GET', path: (id) => `/v1/chapter/?owner_id=${id}&limit=2&status=processing` },
      {
        method: 'GET',
        path: (id) => `/v1/chapter/?cursor=${Buffer.from(`before:${id}`).toString('base64url')}`,
      },
      { method: 'GET', path: () => '/readyz' },
    ]

    const statuses = new Map<number, number>()
    const send = async () => {
      const { method, path, body } = pick(good)
      const target = path(random() < 0.85 ? String(pick(ids)) : pick(IDS))
      const headers: Record<string, string> = {}
      if (random() < 0.1) headers['idempotency-key'] = pick(['k', '', 'k'.repeat(256), 'ü', 'k2'])
      if (random() < 0.05) headers.accept = pick(['text/html', '*/*', ';', 'application/json'])
      if (random() < 0.05) headers['x-request-id'] = pick(['', 'a b', '\u00ff', 'x'.repeat(500)])
      let payload: Buffer | string | undefined
      if (body !== undefined) {
        headers['content-type'] =
          random() < 0.95 ? 'application/json' : pick(['text/plain', 'application/json;', 'a', '/'])
        const text = JSON.stringify(random() < 0.8 ? mutate(body) : body) ?? ''
        payload = random() < 0.15 ? corrupt(text) : text
      }
      const response = await app.inject({
        method,
        url: target,
        headers,
        ...(payload === undefined ? {} : { payload }),
      })
      statuses.set(response.statusCode, (statuses.get(response.statusCode) ?? 0) + 1)
      const about = `${method} ${target} ${JSON.stringify(headers)} ${String(payload).slice(0, 400)}`
      if (response.statusCode >= 500) t.fail(`${response.statusCode} to ${about}`)
      if (
        response.statusCode >= 400 &&
        !String(response.headers['content-type']).startsWith('application/problem+json')
      )
        t.fail(`not a problem: ${response.payload.slice(0, 200)} to ${about}`)
      const created = response.statusCode === 201 ? response.json().chapter_id : undefined
      if (created !== undefined && ids.push(created) > 40) ids.shift()
    }
    for (let sent = 0; sent < REQUESTS; sent += 10) await Promise.all(Array.from({ length: 10 }, send))

    t.comment(Object.fromEntries(statuses))
    for (const status of [200, 201, 202, 400, 404, 409, 415])
      t.ok(
        statuses.get(status),
        `${status} was among the answers: the changes are neither too wild nor too tame`,
      )
    t.equal((await app.inject('/readyz')).statusCode, 200)
  },
)
