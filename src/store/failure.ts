/**
 * What a failed statement means for whoever sent it. By SQLSTATE (PostgreSQL manual, appendix A) and by the
 * codes of Node and postgres.js for connections.
 */
import { DrizzleQueryError } from 'drizzle-orm/errors'

/**
 * - `data`: a value cannot be stored, or breaks a constraint; the same statement will fail again
 * - `conflict`: rolled back because of another transaction; the same statement may succeed at once
 * - `connection`: the database did not answer; whether it wrote is unknown
 * - `fault`: anything else, most likely a bug
 */
export type FailureKind = 'data' | 'conflict' | 'connection' | 'fault'

const CONFLICTS = new Set(['40001', '40P01', '55P03'])
/** Connection exceptions, insufficient resources, operator intervention (shutdown, statement timeout). */
const CONNECTION_CLASSES = new Set(['08', '53', '57'])
/** Statement completion unknown; a read-only transaction: this is no longer the primary. */
const CONNECTION_STATES = new Set(['40003', '25006'])
const CONNECTION_CODES =
  /^(CONNECT(ION)?_|ECONN|ETIMEDOUT|EPIPE|ENETUNREACH|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT)/

export function failureKindOf(error: unknown): FailureKind {
  const code = codeOf(error)
  if (code === undefined) return 'fault'
  if (CONFLICTS.has(code)) return 'conflict'
  if (CONNECTION_STATES.has(code) || CONNECTION_CODES.test(code)) return 'connection'
  const sqlClass = code.slice(0, 2)
  if (code.length === 5 && CONNECTION_CLASSES.has(sqlClass)) return 'connection'
  if (code.length === 5 && (sqlClass === '22' || sqlClass === '23')) return 'data'
  return 'fault'
}

export function isUniqueViolation(error: unknown): boolean {
  return codeOf(error) === '23505'
}

/** Drizzle wraps what failed in an error of its own, which has no code. */
function codeOf(error: unknown): string | undefined {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown }
  if (typeof code === 'string') return code
  return error instanceof DrizzleQueryError ? codeOf(cause) : undefined
}
