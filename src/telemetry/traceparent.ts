/**
 * W3C Trace Context: https://www.w3.org/TR/trace-context/#traceparent-header
 */
import { randomUUID } from 'node:crypto'

const TRACEPARENT = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/

export function isTraceparent(text: string): boolean {
  return TRACEPARENT.test(text)
}

/**
 * The header of one message: a new span in the trace of `parent` or, without a valid one, in the job’s own,
 * whose id is the job’s without its dashes. So every attempt at a job, and its dead letter, are one trace.
 * @param spanId eight bytes, not all zero
 */
export function traceparentOf(jobId: string, parent?: string, spanId?: Buffer): string {
  const [, traceId, flags] = TRACEPARENT.exec(parent ?? '') ?? []
  return `00-${traceId ?? jobId.replaceAll('-', '').toLowerCase()}-${spanId?.toString('hex') ?? newSpanId()}-${flags ?? SAMPLED}`
}

/** Starts a new trace, marked as sampled. */
const SAMPLED = '01'

/** Sixteen hexadecimal digits, never all zero: the tail of a UUID, for which Node keeps random bytes in store. */
function newSpanId(): string {
  return randomUUID().slice(19).replace('-', '')
}

/** What a log says of it: 32 hexadecimal digits; undefined without a valid `traceparent`. */
export function traceIdOf(traceparent: unknown): string | undefined {
  return typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent)?.[1] : undefined
}
