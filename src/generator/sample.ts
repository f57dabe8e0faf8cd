/**
 * The sample model: ready-made text for trying the product out, in the chapter’s language and around its
 * title and description. The same chapter always gets the same text. It asks nobody and costs nothing. A part that is
 * written again begins with what was asked for.
 *
 * It thinks for `delayMs` in all (a concept; an exercise 1.3 times, a quiz 1.7 times as long, so that a
 * chapter’s parts arrive one after another). Meanwhile its text grows, and it reports progress four times, evenly
 * spread. With 0 it answers at once and reports nothing.
 *
 * Failures can be tried out through the chapter’s metadata. What is malformed is ignored whole.
 *
 *     "metadata": { "sample": { "fail": ["quiz"], "times": 2 } }
 *
 * | Field       | Meaning                                                                       |
 * |-------------|-------------------------------------------------------------------------------|
 * | `fail`      | kinds that fail, after their thinking time                                    |
 * | `hang`      | kinds that never answer and report nothing, so that the deadline ends them    |
 * | `times`     | attempts 1 to `times` fail or hang, the next one succeeds; 1 to 100, default 1 |
 * | `retryable` | false: a failure is final at once; default true                               |
 * | `delay_ms`  | instead of `delayMs`, 0 to 600000                                             |
 *
 * A client’s retry counts attempts from 1 again, so it fails again, too.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { GenerationMessage } from '../contract/generation.js'
import { JOB_KINDS, type JobKind, type JobResults } from '../contract/job.js'
import { type GenerateContext, type Model, ModelError } from './model.js'
import { PHRASES, sayInstruction, topicOf } from './sample-text.js'
import type { SoFar } from './text-so-far.js'

export interface SampleModelOptions {
  /** `GENERATOR_DELAY_MS`. */
  delayMs: number
  delay?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** A model whose results are results, and no text to be judged. */
export interface SampleModel extends Model {
  generate<K extends JobKind>(
    message: GenerationMessage & { kind: K },
    context: GenerateContext,
  ): Promise<JobResults[K]>
}

export function createSampleModel({ delayMs, delay = abortableSleep }: SampleModelOptions): SampleModel {
  return {
    // A kind that hangs is to be ended by its deadline.
    hasHeartbeat: false,
    async generate<K extends JobKind>(
      message: GenerationMessage & { kind: K },
      { signal, onProgress, onText }: GenerateContext,
    ) {
      signal.throwIfAborted()
      const { kind, attempt, locale } = message
      const steering = steeringOf(message)
      const phrases = PHRASES[locale]
      const isHit = attempt <= (steering.times ?? 1)

      if (isHit && steering.hang?.includes(kind)) await hang(signal)
      const result = sayInstruction<K>(phrases.write[kind as K](topicOf(message)), message)
      await think((steering.delay_ms ?? delayMs) * PACE[kind])
      if (isHit && steering.fail?.includes(kind)) {
        throw new ModelError(phrases.failed, {
          reason: 'model_error',
          retryable: steering.retryable ?? true,
        })
      }
      return result

      async function think(totalMs: number): Promise<void> {
        if (totalMs === 0) return
        const steps = phrases.progress[kind]
        const parts = steps.length + 1
        for (let part = 1; part <= parts; part += 1) {
          const words = Math.ceil(totalMs / parts / TEXT_EVERY_MS)
          for (let word = 1; word <= words; word += 1) {
            await delay(totalMs / parts / words, signal)
            onText(shareOf(result, (part - 1 + word / words) / parts))
          }
          const text = steps[part - 1]
          if (text !== undefined) onProgress(Math.round((part * 100) / parts), text)
        }
      }
    },
  }
}

/** How often the text grows, ms. */
const TEXT_EVERY_MS = 300

/** The beginning of a result: `share` of it, in (0, 1]. */
function shareOf(result: JobResults[JobKind], share: number): SoFar {
  if ('quizzes' in result)
    return { quizzes: result.quizzes.slice(0, Math.floor(share * result.quizzes.length)) }
  const text = 'content' in result ? result.content : result.question
  return { text: text.slice(0, Math.ceil(share * text.length)) }
}

/** How long each kind thinks, as a multiple of `delayMs`. */
const PACE: Record<JobKind, number> = { concept: 1, exercise: 1.3, quiz: 1.7 }

const Kinds = Type.Array(Type.Union(JOB_KINDS.map((kind) => Type.Literal(kind))))
const Steering = Type.Object({
  fail: Type.Optional(Kinds),
  hang: Type.Optional(Kinds),
  times: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
  retryable: Type.Optional(Type.Boolean()),
  delay_ms: Type.Optional(Type.Number({ minimum: 0, maximum: 600_000 })),
})

function steeringOf({ metadata }: GenerationMessage): Static<typeof Steering> {
  return Value.Check(Steering, metadata.sample) ? metadata.sample : {}
}

async function abortableSleep(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal })
}

function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), {
      once: true,
    })
  })
}
