/**
 * Clients: they make chapters, one or some at once, and look after them until they have ended: they try failed ones
 * again, cancel, have a part written again, restore an earlier one, delete.
 */
import { JOB_KINDS } from '../../src/contract/job.js'
import { contentRevisionOf } from '../../src/domain/chapter.js'
import type { ChapterCommand, FinishResult } from '../../src/domain/command.js'
import type { NewChapter } from '../../src/domain/create.js'
import type { Checks } from './checks.js'
import type { MemoryStore } from './memory-store.js'
import type { SimulatedNode } from './node.js'
import type { Requests } from './requests.js'
import { Watcher } from './watchers.js'
import type { World } from './world.js'

export interface Clients {
  readonly watchers: Watcher[]
  /** How much they still have to do. */
  readonly busy: number
  start(): void
  /** Now and then somebody comes at the very moment at which something happens that may be the last. */
  hurry(chapterId: number): void
}

export function createClients(options: {
  world: World
  requests: Requests
  checks: Checks
  store: MemoryStore
  nodes: () => SimulatedNode[]
  /** Whether more is to be asked. */
  isOpen: () => boolean
  /** How many make chapters at once. */
  count: number
}): Clients {
  const { world, requests, checks, store, nodes, isOpen, count } = options
  const { random, time } = world
  const watchers: Watcher[] = []
  let busy = 0
  let made = 0

  function newChapter(): NewChapter {
    made += 1
    return {
      ...{
        courseId: 1,
        ownerId: 1 + random.below(3),
        title: `chapter ${made}`,
        description: '',
        locale: 'en',
      },
      ...{ quizCount: 3, metadata: {}, traceparent: null },
    }
  }

  async function makeChapters(): Promise<void> {
    while (isOpen()) {
      const chapters = Array.from({ length: random.chance(0.1) ? 3 : 1 }, newChapter)
      const [{ ownerId } = { ownerId: 1 }] = chapters
      for (const chapter of chapters) chapter.ownerId = ownerId
      const key = random.chance(0.6) ? `key ${made}` : undefined
      const idempotency = key === undefined ? {} : { idempotency: { key, bodyHash: key } }
      const request = { chapters, ...idempotency }
      const asked = [requests.create(request, { tries: key === undefined ? 1 : 6 })]
      // Only with a key may it be asked twice.
      if (key !== undefined && random.chance(0.1)) asked.push(requests.create(request, { tries: 2 }))
      const reply = (await Promise.all(asked)).find((each) => each !== undefined)
      for (const { chapterId } of reply?.chapters ?? []) {
        for (let watching = random.below(5); watching > 0; watching--)
          watch(chapterId, world.between(0, 5000))
        void lookAfter(chapterId)
      }
      await world.sleep(world.between(0, 3000))
    }
  }

  /** Some come before anything has happened, and most later. */
  function watch(chapterId: number, inMs: number): void {
    busy += 1
    time.after(inMs, undefined, () => {
      busy -= 1
      const watcher = new Watcher(world, nodes, chapterId)
      watchers.push(watcher)
      for (let stirs = random.below(4); stirs > 0; stirs--)
        time.after(world.between(0, 20_000), undefined, () => {
          if (isOpen()) watcher.stir()
        })
    })
  }

  async function lookAfter(chapterId: number): Promise<void> {
    busy += 1
    try {
      const ask = (command: ChapterCommand) => requests.submit(command, { tries: 5 })
      for (let acts = random.below(3); acts > 0 && isOpen(); acts--) {
        await world.sleep(world.between(0, random.chance(0.5) ? 3000 : 20_000))
        const command = nextCommand(chapterId)
        if (command === undefined) continue
        await ask(command)
        if (command.type === 'delete') return
      }
    } catch (error) {
      checks.unexpected(error)
    } finally {
      busy -= 1
    }
  }

  function nextCommand(chapterId: number): ChapterCommand | undefined {
    const row = store.rows.get(chapterId)
    if (row === undefined) return undefined
    const { status, jobs } = row.state
    const kind = random.pick(JOB_KINDS)
    if (random.chance(0.05)) return { type: 'delete', chapterId }
    if (status === 'failed' && random.chance(0.7)) return { type: 'retry', chapterId }
    if (status === 'processing') return random.chance(0.15) ? { type: 'cancel', chapterId } : undefined
    if (status === 'cancelled') return { type: 'cancel', chapterId }
    const current = contentRevisionOf(jobs[kind])
    if (random.chance(0.7) || current === null)
      return { type: 'regenerate', chapterId, kind, instruction: random.pick([null, 'shorter']) }
    const stored = random.pick(row.results.filter((each) => each.kind === kind))
    const content = { kind, result: stored.result } as FinishResult
    return { type: 'restore', chapterId, kind, revision: stored.revision, instruction: null, content }
  }

  return {
    watchers,
    get busy() {
      return busy
    },
    hurry(chapterId) {
      if (random.chance(0.3)) watch(chapterId, world.between(0, 10))
    },
    start() {
      for (let client = 0; client < count; client++) {
        busy += 1
        void makeChapters()
          .catch(checks.unexpected)
          .finally(() => {
            busy -= 1
          })
      }
    },
  }
}
