/**
 * Every error the client throws. Branch on the class or on `code`, never on the message.
 */
import type { ErrorCode, JobKind, Violation } from './contract.js'
import type { ChapterSnapshot } from './snapshot.js'

export type ClientErrorCode =
  | ErrorCode
  | 'unreachable'
  | 'bad_answer'
  | 'chapter_failed'
  | 'chapter_cancelled'
  | 'closed'

export class ChaptercastError extends Error {
  override readonly name: string = 'ChaptercastError'
  readonly code: ClientErrorCode

  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The server said no: to a request, to a join or to the connection. */
export class RefusedError extends ChaptercastError {
  override readonly name = 'RefusedError'
  /** Of an HTTP answer. */
  readonly status: number | undefined
  /** Every part of the request that is not valid. */
  readonly errors: readonly Violation[]
  readonly requestId: string | undefined
  /** How long the server wants to be left alone, ms. */
  readonly retryAfterMs: number | undefined

  constructor(
    code: ErrorCode | 'bad_answer',
    message: string,
    details: {
      status?: number | undefined
      errors?: readonly Violation[] | undefined
      requestId?: string | undefined
      retryAfterMs?: number | undefined
    } = {},
  ) {
    super(code, message)
    this.status = details.status
    this.errors = details.errors ?? []
    this.requestId = details.requestId
    this.retryAfterMs = details.retryAfterMs
  }
}

/** Nobody answered. `cause` is what `fetch` threw. */
export class UnreachableError extends ChaptercastError {
  override readonly name = 'UnreachableError'

  constructor(url: string, cause: unknown) {
    super('unreachable', `${url} does not answer`, { cause })
  }
}

/** The run ended and a part of it could not be written; `chapters.retry(id)` tries again. */
export class ChapterFailedError extends ChaptercastError {
  override readonly name = 'ChapterFailedError'
  readonly snapshot: ChapterSnapshot

  constructor(snapshot: ChapterSnapshot) {
    super('chapter_failed', `Chapter ${snapshot.chapter_id} failed: ${failedOf(snapshot).join(', ')}`)
    this.snapshot = snapshot
  }

  /** Which parts. */
  get failed(): JobKind[] {
    return failedOf(this.snapshot)
  }
}

export class ChapterCancelledError extends ChaptercastError {
  override readonly name = 'ChapterCancelledError'
  readonly snapshot: ChapterSnapshot

  constructor(snapshot: ChapterSnapshot) {
    super('chapter_cancelled', `Chapter ${snapshot.chapter_id} was cancelled`)
    this.snapshot = snapshot
  }
}

/** `chapters.close()` was called. */
export class ClosedError extends ChaptercastError {
  override readonly name = 'ClosedError'

  constructor() {
    super('closed', 'The client was closed')
  }
}

function failedOf({ jobs }: ChapterSnapshot): JobKind[] {
  return Object.values(jobs).flatMap(({ kind, status }) => (status === 'failed' ? [kind] : []))
}
