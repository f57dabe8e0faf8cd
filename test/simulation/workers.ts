/**
 * Those who do the work, and what brings it to them. A queue keeps messages once it has them, and delivers each at least
 * once, late and in any order. A worker asks before it begins, says how far it is, and hands in a result; or it forgets,
 * fails, is silent for too long, answers twice or too late, as its seed has it. Its callbacks go to any node, again and
 * again until one is answered.
 */
import { abortable } from '../../src/async/deadline.js'
import type { StartAnswer } from '../../src/contract/callback.js'
import type { GenerationMessage } from '../../src/contract/generation.js'
import type { JobKind } from '../../src/contract/job.js'
import type { Message } from '../../src/dispatch/message.js'
import type { JobQueue } from '../../src/dispatch/queue.js'
import type { ChapterCommand } from '../../src/domain/command.js'
import type { WorkName } from '../../src/domain/job-table.js'
import type { Checks } from './checks.js'
import type { Requests } from './requests.js'
import type { World } from './world.js'

/** Longer than a hold that nobody renews. */
const LONG_MS = [10_000, 16_000] as const
/** Shorter than the silence after which an attempt may be run again. */
const HEARTBEAT_MS = 3000

export function createWorkers({
  world,
  requests,
  checks,
  onFinish,
}: {
  world: World
  requests: Requests
  checks: Checks
  /** A result is about to be handed in. */
  onFinish: (chapterId: number) => void
}) {
  const { random } = world

  const callback = (command: ChapterCommand) => requests.submit(command, { tries: 6 })

  /** Resolves when the worker is done with it. */
  async function work(message: GenerationMessage, signal?: AbortSignal): Promise<void> {
    const { chapter_id: chapterId, kind, job_id: jobId, attempt } = message
    const named = random.chance(0.9) ? { jobId, attempt } : { jobId }
    const about = { chapterId, kind, named }
    if (random() < world.hazards.forgetful) return forget()
    if (random.chance(0.85)) {
      const start: ChapterCommand = { type: 'start', chapterId, kind, jobId, attempt }
      const answer = (await callback(start)) as StartAnswer | undefined
      if (answer?.run !== true || signal?.aborted === true) return
    }
    const isLong = random.chance(0.08)
    await writeFor(isLong ? world.between(...LONG_MS) : world.between(20, 2500), about, signal)
    if (signal?.aborted === true) return
    if (random() < world.hazards.forgetful) return forget()
    if (random.chance(0.12)) return fail(about)
    const finish = finishOf(about, `${kind} of ${chapterId}, ${jobId} ${attempt}, ${world.time.steps}`)
    onFinish(chapterId)
    await callback(finish)
    if (random.chance(0.05)) await callback(finish)
    // A second worker at the same attempt: only one of both results counts.
    if (random.chance(0.03))
      await callback(finishOf(about, `another ${kind} of ${chapterId}, ${jobId} ${attempt}`))
  }

  /** Nobody says anything of it any more: what holds it lets go, or it times out. */
  function forget(): void {
    world.count('forgotten')
    world.trouble()
  }

  async function writeFor(
    ms: number,
    { chapterId, kind, named }: { chapterId: number; kind: JobKind; named: WorkName },
    signal?: AbortSignal,
  ): Promise<void> {
    for (let left = ms; left > 0 && signal?.aborted !== true; left -= HEARTBEAT_MS) {
      await world.sleep(Math.min(left, HEARTBEAT_MS))
      const isSilent = left < HEARTBEAT_MS && random.chance(0.5)
      if (isSilent) continue
      const progress = Math.min(99, Math.floor(100 * (1 - Math.max(0, left - HEARTBEAT_MS) / ms)))
      const which = random.chance(0.9) ? { kind } : {}
      await callback({ type: 'progress', chapterId, ...which, named, progress, message: 'at work' })
    }
  }

  async function fail({ chapterId, kind, named }: { chapterId: number; kind: JobKind; named: WorkName }) {
    const reason = random.pick(['model_error', 'rate_limited', 'unavailable', 'invalid_result'] as const)
    const command: ChapterCommand = {
      ...{ type: 'fail', chapterId, kind, named, reason, error: 'the model said no' },
      ...{ retryable: random.chance(0.8), retryAfterMs: 0 },
    }
    await callback(command)
    // It had a result after all.
    if (random.chance(0.1))
      await callback(finishOf({ chapterId, kind, named }, `late ${kind} of ${chapterId}`))
  }

  return {
    work,

    /** The queue as a node has it. Its messages go to workers outside of all nodes. */
    queue(): JobQueue {
      const deliver = (message: Message) => {
        checks.sent(message.value)
        const take = () => void work(message.value).catch((error) => checks.unexpected(error))
        world.send(undefined, take)
        if (random() < world.hazards.redelivery) world.time.after(world.between(0, 20_000), undefined, take)
      }
      const put = <T>(what: T[], each: (one: T) => void, signal: AbortSignal) => {
        const life = world.time.owner
        const put = new Promise<void>((resolve, reject) => {
          world.send(undefined, () => {
            const fails = random() < world.hazards.queue
            if (fails) world.trouble()
            if (!fails || random.chance(0.5)) for (const one of what) each(one)
            // Sometimes it says nothing at all.
            if (fails && random.chance(0.3)) return
            world.send(life, fails ? () => reject(new Error('the queue failed')) : resolve)
          })
        })
        return abortable(put, signal)
      }
      return {
        capacity: Number.POSITIVE_INFINITY,
        publish: (messages, signal) => put(messages, deliver, signal),
        publishDeadLetters: (letters, signal) => put(letters, ({ value }) => checks.buried(value), signal),
        async close() {},
      }
    },

    /** For a worker in a node’s own process. */
    async workInside(message: GenerationMessage, signal: AbortSignal): Promise<void> {
      checks.sent(message)
      const done = work(message, signal).catch((error) => checks.unexpected(error))
      // Whatever it is at, it is given up.
      await abortable(done, signal).catch(() => {})
    },
  }
}

function finishOf(
  { chapterId, kind, named }: { chapterId: number; kind: JobKind; named: WorkName },
  text: string,
): ChapterCommand {
  const about = { type: 'finish', chapterId, named } as const
  if (kind === 'concept') return { ...about, kind, result: { title: text, content: text } }
  if (kind === 'exercise') return { ...about, kind, result: { question: text, answer: text } }
  const item = (position: number) => ({
    question: `${text} ${position}`,
    correct_answer: 'a',
    options: ['a', 'b'],
    type: 'multiple' as const,
  })
  return { ...about, kind, result: { quizzes: [item(1), item(2), item(3)] } }
}
