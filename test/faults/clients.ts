/**
 * Clients that make chapters and then change their minds. With an `Idempotency-Key` they ask again until they know;
 * without one they ask once. What each does follows from the seed.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { JOB_KINDS } from '../../src/contract/job.js'
import type { Random } from '../support/random.js'
import type { Answer, Ask } from './http.js'
import type { KnownChapter, Ledger } from './ledger.js'
import type { FaultyNode } from './nodes.js'

export interface ClientsOptions {
  nodes: readonly FaultyNode[]
  ask: Ask
  ledger: Ledger
  onCreated(chapter: KnownChapter): void
  /** For nodes of an earlier release: they never regenerate. */
  isOfEarlierRelease: boolean
}

export interface Clients {
  /** Makes what request number `n` asks for: a chapter, or several of a course. Resolves to how many chapters. */
  create(n: number): Promise<number>
  /** What its client does when a run has ended; true if it did something. */
  follow(chapter: KnownChapter, status: string): Promise<boolean>
}

/** Chapters of a course. */
const COURSE_SIZE = 40
const PATIENCE_MS = 120_000

export function createClients({
  nodes,
  ask,
  ledger,
  onCreated,
  isOfEarlierRelease,
}: ClientsOptions): Clients {
  /** Asks until it knows. */
  async function insist(
    random: Random,
    path: string,
    body: unknown,
    headers = {},
  ): Promise<Answer | undefined> {
    const until = Date.now() + PATIENCE_MS
    for (let wait = 100; Date.now() < until; wait = Math.min(2 * wait, 2000)) {
      try {
        const answer = await ask(`${random.pick(nodes).url}${path}`, { body, headers })
        if (answer.status !== 503 && answer.status !== 429) return answer
      } catch {}
      await delay(wait * (0.5 + random()))
    }
    return undefined
  }

  function keep(answer: Answer | undefined, n: number, courseId: number): KnownChapter[] {
    if (answer === undefined || answer.status >= 300) return []
    const made: { chapter_id: number }[] = answer.body.chapters ?? [answer.body]
    const chapters = made.map(({ chapter_id }) => ledger.add(chapter_id, n, courseId))
    for (const chapter of chapters) onCreated(chapter)
    return chapters
  }

  async function cancelLater(chapter: KnownChapter, random: Random): Promise<void> {
    await delay(random.below(2500))
    const answer = await insist(random, `/v1/chapter/${chapter.id}/cancel`, undefined)
    if (answer?.status === 202 || answer?.status === 200) chapter.isCancelled = true
  }

  return {
    async create(n) {
      const random = ledger.chanceOf(n, 'create')
      const courseId = 1 + Math.floor(n / COURSE_SIZE)
      const ownerId = 1 + random.below(20)
      const title = `chapter ${n}`
      const metadata = { n }
      const count = random.chance(0.05) ? 2 + random.below(3) : 1
      const path = count === 1 ? '/v1/chapter/' : `/v1/course/${courseId}/chapters`
      const chapters = Array.from({ length: count }, (_, index) => ({ title: `${title}.${index}` }))
      const body =
        count === 1
          ? { course_id: courseId, owner_id: ownerId, title, metadata }
          : { owner_id: ownerId, metadata, chapters }
      ledger.requests.set(n, count)
      const isKeyed = random.chance(0.75)
      const isRegretted = random.chance(0.03)
      const answer = isKeyed
        ? await insist(random, path, body, { 'idempotency-key': `request ${n}` })
        : await ask(`${random.pick(nodes).url}${path}`, { body }).catch(() => undefined)
      for (const chapter of keep(answer, n, courseId)) if (isRegretted) void cancelLater(chapter, random)
      return count
    },
    async follow(chapter, status) {
      const random = ledger.chanceOf(chapter.n, chapter.id, 'follow', chapter.retries)
      if (status === 'failed' && chapter.retries < 3) {
        const answer = await ask(`${random.pick(nodes).url}/v1/chapter/${chapter.id}/retry`).catch(
          () => undefined,
        )
        // Not known: it may have begun.
        if (answer?.status === 202) chapter.retries += 1
        return true
      }
      const mayRegenerate = !isOfEarlierRelease && chapter.regenerations.length === 0
      if (status === 'completed' && mayRegenerate && random.chance(0.06)) {
        const kind = random.pick(JOB_KINDS)
        const path = `/v1/chapter/${chapter.id}/${kind}/regenerate`
        const answer = await ask(`${random.pick(nodes).url}${path}`, {
          body: { instruction: 'shorter' },
        }).catch(() => undefined)
        if (answer?.status === 202) chapter.regenerations.push({ kind, revision: answer.body.revision })
        return true
      }
      return false
    },
  }
}
