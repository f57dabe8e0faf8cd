/**
 * What a client and a worker do at a server whose jobs nobody else answers.
 */
import type { Test } from 'tap'
import { buildApp, type Overrides } from '../../src/app.js'
import { readConfig } from '../../src/config/config.js'
import { freePort } from '../support/condition.js'
import { postgresUrl } from '../support/database.js'
import { buildSerializer } from '../support/serializers.js'

export interface Server {
  url: string
  /** Stops, lets the caller look around, and starts again at the same address, with other settings if any are given. */
  restart(whileDown: () => Promise<void>, changes?: Record<string, string>): Promise<void>
}

export async function startServer(
  t: Test,
  env: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<Server> {
  const settings: Record<string, string> = {
    HOST: '127.0.0.1',
    PORT: `${await freePort()}`,
    DATABASE_URL: await postgresUrl(t),
    GENERATOR: 'off',
    LOG_LEVEL: 'error',
    ...env,
  }
  const listen = async () => {
    const config = readConfig(settings)
    const app = await buildApp(config, { buildSerializer, ...overrides })
    await app.listen({ host: config.host, port: config.port })
    return app
  }
  let app = await listen()
  t.teardown(() => app.close())
  return {
    url: `http://127.0.0.1:${settings.PORT}`,
    async restart(whileDown, changes = {}) {
      await app.close()
      await whileDown()
      Object.assign(settings, changes)
      app = await listen()
    },
  }
}

export const KINDS = ['concept', 'exercise', 'quiz'] as const
export type Kind = (typeof KINDS)[number]

export const RESULTS = {
  concept: {
    title: 'What a variable is',
    content:
      '# Names\n\nA **variable** is a name.\n\n```python\nage = 17\n```\n\nSee [Python](https://docs.python.org/).',
  },
  exercise: { question: 'Swap `a` and `__b__`.', answer: 'a, __b__ = __b__, a', difficulty: 'easy' },
  quiz: {
    quizzes: [
      {
        question: 'Which one is an integer?',
        correct_answer: '42',
        options: ['"42"', '42', '4.2'],
        type: 'multiple',
      },
      { question: 'A name may begin with a digit.', correct_answer: 'False', type: 'boolean' },
      { question: 'How long is "Python"?', correct_answer: '6', type: 'short' },
    ],
  },
}
export async function create(url: string, title: string, description = '', locale = 'en'): Promise<number> {
  const body = { course_id: 1, owner_id: 1, title, description, locale }
  return (await post<{ chapter_id: number }>(`${url}/v1/chapter/`, body)).chapter_id
}

export function finish(url: string, id: number, kind: Kind) {
  return post(`${url}/v1/chapter/${id}/${kind}-finish`, RESULTS[kind])
}

export async function start(url: string, id: number, kind: Kind) {
  return post(`${url}/v1/chapter/${id}/${kind}-start`, await workOf(url, id, kind))
}

export async function progress(url: string, id: number, kind: Kind, percent: number) {
  const work = await workOf(url, id, kind)
  return post(`${url}/v1/chapter/${id}/progress`, { ...work, kind, progress: percent, message: 'On it.' })
}

export async function fail(url: string, id: number, kind: Kind, failure: object) {
  return post(`${url}/v1/chapter/${id}/${kind}-fail`, { ...(await workOf(url, id, kind)), ...failure })
}

export async function workOf(url: string, id: number, kind: Kind) {
  interface View {
    jobs: { kind: Kind; job_id: string; attempt: number }[]
  }
  const job = (await get<View>(`${url}/v1/chapter/${id}`)).jobs.find((each) => each.kind === kind)
  if (job === undefined) throw new Error(`chapter ${id} has no ${kind}`)
  return { job_id: job.job_id, attempt: job.attempt }
}

export function get<T>(address: string): Promise<T> {
  return answerOf(fetch(address))
}

export function post<T = unknown>(address: string, body: object): Promise<T> {
  const headers = { 'content-type': 'application/json' }
  return answerOf(fetch(address, { method: 'POST', headers, body: JSON.stringify(body) }))
}

async function answerOf<T>(request: Promise<Response>): Promise<T> {
  const response = await request
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`)
  return JSON.parse(text)
}
