/**
 * A worker as bad as workers are: it repeats, forgets, delays and garbles, is busy at times, calls whichever node it
 * likes, and asks again when it does not know what became of its call. What it does with a job follows from the seed,
 * but for when its model is busy.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { GenerationMessage } from '../../src/contract/generation.js'
import type { Random } from '../support/random.js'
import type { Answer, Ask } from './http.js'
import type { Ledger } from './ledger.js'
import type { FaultyNode } from './nodes.js'
import type { Findings } from './promises.js'

export interface Worker {
  /** A job came. Resolves when the worker is through with it. */
  take(message: GenerationMessage): Promise<void>
  /** How many jobs came, and how often each thing was done. */
  readonly done: Readonly<Record<Deed, number>>
  /** Chapters that it has jobs of. */
  readonly atWork: number
  isAt(chapterId: number): boolean
  /** Gives up what it still waits for. */
  close(): void
}

const DEEDS = [
  'taken',
  'finished',
  'forgotten',
  'garbled',
  'failed',
  'busy',
  'late',
  'repeated',
  'crowded',
] as const
type Deed = (typeof DEEDS)[number]

export interface WorkerOptions {
  nodes: readonly FaultyNode[]
  ask: Ask
  ledger: Ledger
  findings: Findings
  attemptTimeoutMs: number
  /** For nodes of an earlier release: names its work in bodies too, and its model is never busy. */
  isOfEarlierRelease: boolean
}

/** Jobs of a crowded chapter wait for each other this long, so that their results come at once. */
const CROWD_MS = 1500
/** As long as it asks again. */
const PATIENCE_MS = 90_000
/**
 * Its model is busy now and then, as models are. A model that is busy all the time, if only for few jobs, would keep the
 * window narrow, and the whole run would wait for it.
 */
const BUSY = { firstMs: 10_000, everyMs: 150_000, forMs: 3000 }
const GARBAGE = [
  { raw: 'As a language model I would rather not.' },
  { raw: '{"title": "half' },
  { quizzes: [] },
  { title: '' },
] as const

export function createWorker(options: WorkerOptions): Worker {
  const { nodes, ask, ledger, findings, attemptTimeoutMs, isOfEarlierRelease } = options
  const done = Object.fromEntries(DEEDS.map((deed) => [deed, 0])) as Record<Deed, number>
  const over = new AbortController()
  setMaxListeners(0, over.signal)
  const happened = new Set<string>()
  const crowds = new Map<number, { size: number; meet: () => void; met: Promise<void> }>()
  const atChapters = new Map<number, number>()
  let posts = 0
  const begunAt = performance.now()
  const isBusyTime = () => {
    if (isOfEarlierRelease) return false
    const sinceMs = performance.now() - begunAt - BUSY.firstMs
    return sinceMs >= 0 && sinceMs % BUSY.everyMs < BUSY.forMs
  }

  /** True the first time. */
  function isFirst(what: string): boolean {
    if (happened.has(what)) return false
    happened.add(what)
    return true
  }

  async function call(random: Random, path: string, body: unknown): Promise<Answer | undefined> {
    const until = Date.now() + PATIENCE_MS
    for (let wait = 100; !over.signal.aborted; wait = Math.min(2 * wait, 2000)) {
      const node = random.pick(nodes)
      try {
        const answer = await ask(`${node.url}${path}`, { body })
        if (answer.status !== 503 && answer.status !== 429) return answer
      } catch {}
      if (Date.now() > until) return undefined
      await delay(wait * (0.5 + random()), undefined, { signal: over.signal }).catch(() => {})
    }
    return undefined
  }

  async function work(message: GenerationMessage): Promise<void> {
    const { chapter_id: chapterId, kind, attempt, job_id: jobId, title } = message
    const revision = message.revision ?? 1
    const random = ledger.chanceOf(title, kind, revision, attempt)
    const once = (what: string) => isFirst(`${chapterId} ${kind} ${revision} ${what}`)
    const named = `?job_id=${jobId}&attempt=${attempt}`
    const path = (what: string) => `/v1/chapter/${chapterId}/${kind}-${what}${named}`
    const fate = random()
    const takesMs = 100 + random.below(900)
    const names = isOfEarlierRelease ? { job_id: jobId, attempt } : {}

    if (random.chance(0.7)) {
      const answer = await call(random, path('start'), { job_id: jobId, attempt })
      if (answer?.body?.run !== true) return
    }
    if (fate < 0.03 && once('forget')) {
      done.forgotten += 1
      return
    }
    if (isBusyTime() && fate > 0.1 && fate < 0.4 && once('busy')) {
      done.busy += 1
      await call(random, path('fail'), {
        job_id: jobId,
        attempt,
        reason: 'rate_limited',
        error: 'too many',
        retry_after_s: 1,
      })
      return
    }
    if (fate > 0.04 && fate < 0.07 && once('fail')) {
      done.failed += 1
      await call(random, path('fail'), {
        job_id: jobId,
        attempt,
        error: 'no answer',
        retryable: random.chance(0.7),
      })
      return
    }
    if (fate > 0.07 && fate < 0.1 && once('garble')) {
      done.garbled += 1
      const garbage = random.pick(GARBAGE)
      const answer = await call(random, path('finish'), { ...garbage, ...names })
      if (answer?.body?.status === 'success')
        findings.found('badResult', `chapter ${chapterId} ${kind}: ${JSON.stringify(garbage)} was taken`)
      return
    }
    if (random.chance(0.02)) await callForOtherWork(random, message)
    if (random.chance(0.2)) await writes(random, message, named, names)
    const isLate = fate > 0.1 && fate < 0.12 && once('late')
    if (isLate) done.late += 1
    await delay(isLate ? 1.2 * attemptTimeoutMs : takesMs, undefined, { signal: over.signal }).catch(() => {})
    if (ledger.chanceOf(title, 'crowd').chance(0.4)) await meet(chapterId, revision)

    // Anything that is posted is the same text, whoever posts it: only the database says which one counted.
    const mark = `${chapterId} ${kind} ${revision} ${jobId} ${attempt}`
    const finish = async () => {
      posts += 1
      const post = posts
      const answer = await call(random, path('finish'), { ...resultOf(kind, mark), ...names })
      if (answer?.body?.status === 'success') ledger.results.push({ chapterId, kind, revision, mark, post })
    }
    const isRepeated = random.chance(0.1)
    if (isRepeated) done.repeated += 1
    await Promise.all(isRepeated ? [finish(), finish()] : [finish()])
    if (isRepeated && random.chance(0.5)) await finish()
    done.finished += 1
  }

  /** The results of a chapter come at once, at different nodes. */
  async function meet(chapterId: number, revision: number): Promise<void> {
    if (revision > 1) return
    let crowd = crowds.get(chapterId)
    if (crowd === undefined) {
      let open = () => {}
      const met = new Promise<void>((resolve) => {
        open = resolve
      })
      crowd = { size: 0, meet: open, met }
      crowds.set(chapterId, crowd)
      setTimeout(open, CROWD_MS).unref()
      done.crowded += 1
    }
    crowd.size += 1
    if (crowd.size === 3) crowd.meet()
    await crowd.met
  }

  /** A result and a failure of a job that is not there: nothing may change. */
  async function callForOtherWork(random: Random, { chapter_id, kind }: GenerationMessage): Promise<void> {
    const other = { job_id: '00000000-0000-4000-8000-000000000000', attempt: 1 }
    const named = `?job_id=${other.job_id}&attempt=${other.attempt}`
    const answer = await call(random, `/v1/chapter/${chapter_id}/${kind}-fail${named}`, {
      error: 'of another job',
      ...(isOfEarlierRelease ? other : {}),
    })
    if (answer?.body?.status === 'success')
      findings.found('otherWork', `chapter ${chapter_id} ${kind}-fail counted`)
  }

  async function writes(
    random: Random,
    message: GenerationMessage,
    named: string,
    names: object,
  ): Promise<void> {
    const { chapter_id: chapterId, kind } = message
    let text = ''
    for (let piece = 1; piece <= 3; piece += 1) {
      await call(random, `/v1/chapter/${chapterId}/progress${named}`, {
        progress: 25 * piece,
        message: `${piece}`,
        kind,
        ...names,
      })
      if (kind !== 'quiz') {
        text += `piece ${piece}. `
        await call(random, `/v1/chapter/${chapterId}/${kind}-partial${named}`, { text })
      }
    }
  }

  return {
    done,
    get atWork() {
      return atChapters.size
    },
    isAt: (chapterId) => atChapters.has(chapterId),
    async take(message) {
      const { chapter_id: chapterId } = message
      done.taken += 1
      atChapters.set(chapterId, (atChapters.get(chapterId) ?? 0) + 1)
      try {
        await work(message)
      } finally {
        const left = (atChapters.get(chapterId) ?? 1) - 1
        if (left === 0) atChapters.delete(chapterId)
        else atChapters.set(chapterId, left)
      }
    },
    close: () => over.abort(),
  }
}

function resultOf(kind: GenerationMessage['kind'], mark: string): object {
  switch (kind) {
    case 'concept':
      return { title: mark, content: 'Python에서 변수는 값을 담는 이름이다. '.repeat(20) }
    case 'exercise':
      return { question: mark, answer: '정답 설명... '.repeat(10), difficulty: 'easy' }
    case 'quiz':
      return {
        quizzes: [1, 2, 3].map((n) => ({
          question: `${mark} #${n}`,
          correct_answer: '필요 없음',
          options: ['var', 'let', '필요 없음', 'def'],
          type: 'multiple',
        })),
      }
  }
}
