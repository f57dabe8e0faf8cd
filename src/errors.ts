/**
 * Every error class. Each has a stable `code` from the table in `contract/problem.ts`; branch on class or
 * code, never on message text. A message says what was refused, which value, and what to do next.
 */
import { ERRORS, type ErrorCode, type Violation } from './contract/problem.js'

/** An error that a caller may see. `retryable`: the same request may succeed later. */
export class AppError extends Error {
  override readonly name: string = 'AppError'
  readonly code: ErrorCode
  readonly retryable: boolean
  /** Where Fastify looks for it, and may set it. */
  statusCode: number

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retryable = options.retryable ?? false
    this.statusCode = ERRORS[code].status
  }
}

export class InvalidRequestError extends AppError {
  override readonly name = 'InvalidRequestError'
  readonly violations: Violation[]

  constructor(
    violations: (Omit<Violation, 'code'> & Partial<Pick<Violation, 'code'>>)[],
    code: 'invalid_request' | 'invalid_json' = 'invalid_request',
  ) {
    super(code, violations.map(({ path, message }) => `${path} ${message}`).join('; '))
    this.violations = violations.map((violation) => ({ code: 'invalid', ...violation }))
  }
}

export class ChapterNotFoundError extends AppError {
  override readonly name = 'ChapterNotFoundError'

  constructor(chapterId: number) {
    super('chapter_not_found', `There is no chapter ${chapterId}`)
  }
}

/** It can still be read, page by page. */
export class CourseTooLargeError extends AppError {
  override readonly name = 'CourseTooLargeError'

  constructor(courseId: number, maxChapters: number) {
    super(
      'course_too_large',
      `Course ${courseId} has more than ${maxChapters} chapters; read it page by page (GET /v1/course/${courseId})`,
    )
  }
}

export class RevisionNotFoundError extends AppError {
  override readonly name = 'RevisionNotFoundError'

  constructor(kind: string, revision: number) {
    super('revision_not_found', `There is no revision ${revision} of the ${kind}`)
  }
}

export class RedriveNotFoundError extends AppError {
  override readonly name = 'RedriveNotFoundError'

  constructor(redriveId: number) {
    super('redrive_not_found', `There is no redrive ${redriveId}`)
  }
}

export class DeliveryNotFoundError extends AppError {
  override readonly name = 'DeliveryNotFoundError'

  constructor(chapterId: number, seq: number) {
    super('delivery_not_found', `There is no notice of event ${seq} of chapter ${chapterId}`)
  }
}

/** Tokens are signed elsewhere, or nobody needs one. */
export class TokensOffError extends AppError {
  override readonly name = 'TokensOffError'

  constructor() {
    super('tokens_off', 'This server has no JWT_SECRET to sign a token with')
  }
}

export class WrongStateError extends AppError {
  override readonly name = 'WrongStateError'

  constructor(message: string) {
    super('wrong_state', message)
  }
}

export class IdempotencyKeyReusedError extends AppError {
  override readonly name = 'IdempotencyKeyReusedError'

  constructor() {
    super(
      'idempotency_key_reused',
      'This Idempotency-Key was used with another body; use a new key for a new chapter',
    )
  }
}

/** No credentials, or none that are good. `token_expired`: they were good, so a new token helps. */
export class UnauthorizedError extends AppError {
  override readonly name = 'UnauthorizedError'

  constructor(message: string, code: 'unauthorized' | 'token_expired' = 'unauthorized') {
    super(code, message)
  }
}

/** The address is known, but not with this method. */
export class MethodNotAllowedError extends AppError {
  override readonly name = 'MethodNotAllowedError'
  readonly allowed: readonly string[]

  constructor(method: string, allowed: readonly string[]) {
    super('method_not_allowed', `${method} is not possible here; use ${allowed.join(' or ')}`)
    this.allowed = allowed
  }
}

/** It is known who asks, and they may not. */
export class ForbiddenError extends AppError {
  override readonly name = 'ForbiddenError'

  constructor(message: string) {
    super('forbidden', message)
  }
}

/** More often than the limit allows: come back after `retryAfterS` seconds. */
export class RateLimitedError extends AppError {
  override readonly name = 'RateLimitedError'
  readonly retryAfterS: number

  constructor(message: string, retryAfterS: number) {
    super('rate_limited', message, { retryable: true })
    this.retryAfterS = retryAfterS
  }
}

/** The store cannot be reached, or more waits than can be served: come back after `retryAfterS` seconds. */
export class UnavailableError extends AppError {
  override readonly name = 'UnavailableError'
  readonly retryAfterS: number

  constructor(message: string, options: { cause?: unknown; retryAfterS?: number } = {}) {
    super('unavailable', message, { ...options, retryable: true })
    this.retryAfterS = options.retryAfterS ?? 1
  }
}

/** The configuration cannot be used; the message lists every problem. Only at start. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: string[]

  constructor(problems: string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** Another process has the data directory. Only at start. */
export class DataDirLockedError extends Error {
  override readonly name = 'DataDirLockedError'
}

/** The database is not this program’s. Only at start. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}
