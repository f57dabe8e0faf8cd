/**
 * The errors of the client; those that carry a chapter’s end are in `run-errors.ts`. Branch on the class or on `code`, never on the message.
 */
import type { ErrorCode, Violation } from './contract.js'

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

/** `chapters.close()` was called. */
export class ClosedError extends ChaptercastError {
  override readonly name = 'ClosedError'

  constructor() {
    super('closed', 'The client was closed')
  }
}
