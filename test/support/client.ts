/**
 * Clients for tests: a socket that records everything it hears, and JSON requests.
 */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import type { Test } from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import type { JobKind } from '../../src/contract/job.js'
import { waitFor } from './condition.js'

export interface Heard {
  name: string
  // Whatever the server sent: tests look into it.
  // biome-ignore lint/suspicious/noExplicitAny: a test asserts on what came, of whatever shape
  payload: any
}

export interface RecordingSocket {
  socket: Socket
  heard: Heard[]
  /** Names of logged events heard for a chapter, in the order they came. */
  logged(chapterId?: number): string[]
  /** Waits until an event of that name was heard; resolves to its payload. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  hears(name: string, matches?: (payload: any) => boolean): Promise<any>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  ask(name: string, payload?: unknown): Promise<any>
}

/** A connected socket.io-client, closed at the end of the test. */
export async function connectSocket(
  t: Test,
  url: string,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<RecordingSocket> {
  const socket = io(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, ...options })
  t.teardown(() => socket.disconnect())
  const heard: Heard[] = []
  socket.onAny((name: string, payload: unknown) => heard.push({ name, payload }))
  await waitFor('the socket is connected', () => socket.connected)
  return {
    socket,
    heard,
    logged: (chapterId) =>
      heard
        .filter(
          ({ payload }) =>
            payload?.seq !== undefined && (chapterId === undefined || payload.chapter_id === chapterId),
        )
        .map(({ name }) => name),
    async hears(name, matches = () => true) {
      const found = await waitFor(`${name} is heard`, () =>
        heard.find((event) => event.name === name && matches(event.payload)),
      )
      return found.payload
    },
    ask: (name, payload) => socket.timeout(10_000).emitWithAck(name, payload),
  }
}

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: as above
  body: any
}

/** A JSON request; the body of the answer parsed, `undefined` when it has none. */
export async function request(
  url: string,
  method: 'GET' | 'POST' = 'GET',
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  }
}

export const post = (url: string, body?: unknown, headers?: Record<string, string>) =>
  request(url, 'POST', body, headers)

/** Creates a chapter as the guide does and returns its id. */
export async function createChapter(url: string, fields: object = {}): Promise<number> {
  const { body } = await post(`${url}/v1/chapter/`, { ...CREATE_EXAMPLE, ...fields })
  return body.chapter_id
}

/** The guide’s three webhook bodies, by kind. */
export const FINISH_BODIES = {
  concept: { title: '변수란 무엇인가', content: '# 변수\n\n변수는 값에 붙이는 이름입니다.' },
  exercise: { question: '두 변수의 값을 바꾸세요.', answer: 'a, b = b, a', difficulty: 'easy' },
  quiz: {
    quizzes: [
      {
        question: '다음 중 정수형은?',
        correct_answer: '42',
        options: ['"42"', '42', '4.2'],
        type: 'multiple',
      },
      {
        question: '파이썬은 인터프리터 언어이다.',
        correct_answer: 'True',
        options: ['True', 'False'],
        type: 'boolean',
      },
      { question: '값에 붙이는 이름을 무엇이라 하는가?', correct_answer: '변수', type: 'short' },
    ],
  },
} as const satisfies Record<JobKind, object>

export function finish(url: string, chapterId: number, kind: keyof typeof FINISH_BODIES, extra: object = {}) {
  return post(`${url}/v1/chapter/${chapterId}/${kind}-finish`, { ...FINISH_BODIES[kind], ...extra })
}
