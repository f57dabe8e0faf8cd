/** Requests to the nodes, in turn, as clients and workers make them. Nothing here is measured but time. */
import { Agent, request } from 'node:http'

export const KINDS = ['concept', 'exercise', 'quiz'] as const
export type Kind = (typeof KINDS)[number]

/** Of the size that models write. */
const RESULTS: Record<Kind, object> = {
  concept: {
    title: '변수와 자료형 개념 정리',
    content: 'Python에서 변수는 값을 담는 이름이다. '.repeat(40),
  },
  exercise: { question: '다음 코드의 출력 결과는?', answer: '정답 설명... '.repeat(10), difficulty: 'easy' },
  quiz: {
    quizzes: [1, 2, 3].map((n) => ({
      question: `Python에서 변수 선언 시 필요한 키워드는? ${n}`,
      correct_answer: '필요 없음',
      options: ['var', 'let', '필요 없음', 'def'],
      type: 'multiple',
    })),
  },
}

const NEW_CHAPTER = { course_id: 1, owner_id: 1, title: '변수와 자료형', description: 'Python 기초' }

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

export async function createChapter(url: string): Promise<number> {
  const { chapter_id } = (await post(`${url}/v1/chapter/`, NEW_CHAPTER)) as { chapter_id: number }
  return chapter_id
}

export async function finish(url: string, chapterId: number, kind: Kind): Promise<void> {
  await post(`${url}/v1/chapter/${chapterId}/${kind}-finish`, RESULTS[kind])
}

/** Does `task` for each item, `concurrency` at a time, in order; what came of them, in the same order. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  task: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const waiting = items.entries()
  const lanes = Array.from({ length: concurrency }, async () => {
    for (const [index, item] of waiting) results[index] = await task(item, index)
  })
  await Promise.all(lanes)
  return results
}

/** Rejects unless it is answered with success. */
function post(url: string, body: object): Promise<unknown> {
  const text = JSON.stringify(body)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let answer = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        answer += part
      })
      response.on('error', reject)
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(JSON.parse(answer))
        else reject(new Error(`${url} was answered ${response.statusCode}: ${answer.slice(0, 300)}`))
      })
    })
    sent.on('error', reject)
    sent.end(text)
  })
}
