/**
 * A model writes what a chapter’s job asks for. The worker knows no more of it than this one method,
 * so the sample text and a language model are exchanged freely.
 */
import type { GenerationMessage } from '../contract/generation.js'
import type { FailureReason, JobKind, JobResults } from '../contract/job.js'
import type { SoFar } from './text-so-far.js'

/** A result, or a language model’s own text: the server finds the result in it and judges it. */
export type Written<K extends JobKind = JobKind> = JobResults[K] | { raw: string }

export interface Model {
  /** False: the worker sends no heartbeats for it while it is silent, so that its deadline can be tried out. */
  readonly hasHeartbeat?: false
  /**
   * Writes the result for `message`, in its `locale`. Throws a `ModelError` when it cannot; anything else
   * that is thrown counts as a fault of the model’s own. The same message may be given more than once.
   */
  generate<K extends JobKind>(
    message: GenerationMessage & { kind: K },
    context: GenerateContext,
  ): Promise<Written<K>>
}

export interface GenerateContext {
  /** Aborted when the result is of no use any more. */
  signal: AbortSignal
  /** `percent` is 0 to 100 of this job, `text` for people in the message’s language. Never throws, may be called often. */
  onProgress: (percent: number, text: string) => void
  /** What can be shown of the result so far, whole each time. Never throws, may be called often. */
  onText: (soFar: SoFar) => void
}

/** The model could not answer. Its message is shown to people: no keys, no addresses. */
export class ModelError extends Error {
  override readonly name = 'ModelError'
  readonly code = 'model_failed'
  readonly reason: FailureReason
  readonly retryable: boolean
  /** The least wait before the next attempt, in seconds. */
  readonly retryAfterS: number | undefined

  /** `retryable` is true unless said otherwise or `reason` is `refused`. */
  constructor(
    message: string,
    options: {
      reason: FailureReason
      retryable?: boolean
      retryAfterS?: number
      cause?: unknown
    },
  ) {
    super(message, { cause: options.cause })
    this.reason = options.reason
    this.retryable = options.retryable ?? options.reason !== 'refused'
    this.retryAfterS = options.retryAfterS
  }
}
