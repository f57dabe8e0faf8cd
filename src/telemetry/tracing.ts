/**
 * What telemetry offers the program: metrics that are exported, and traces of what its parts do. Contexts travel as W3C
 * `traceparent`, as they do in messages and in the database. Without OpenTelemetry there is no `Tracing`, and nothing of
 * this costs anything; `opentelemetry.ts` is the only implementation.
 */
import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

export interface Telemetry {
  readonly tracing: Tracing | undefined
  /** Before its other hooks and routes. */
  traceRequests(app: FastifyInstance): Promise<void>
  /** Those of `/metrics`, from now on. */
  exportMetrics(registry: Pick<Registry, 'getMetricsAsJSON'>): void
  /** Sends the metrics for the last time, while what they ask for is still there. Does not wait for it. */
  leaving(): void
  /** Sends what is left, for a second at most. */
  close(): Promise<void>
}

export interface Tracing {
  /** Of the work under way; undefined outside of any. */
  current(): string | undefined
  start(name: string, about: SpanAbout): Span
}

export interface SpanAbout {
  /** `traceparent` of what this continues; null, or invalid: it begins a trace of its own. */
  parent: string | null
  /** Work in the program itself unless it is given. */
  kind?: 'client' | 'producer' | 'consumer'
  /** `traceparent` of what this also serves. */
  links?: readonly string[]
  attributes?: Readonly<Record<string, string | number>>
}

export interface Span {
  readonly traceparent: string
  /** @param traceparent what this also belongs to */
  link(traceparent: string): void
  /** What is started by `work`, now or later, continues this. */
  run<T>(work: () => T): T
  /** The first call counts. @param error why it failed */
  end(error?: unknown): void
}

/** Attributes of whatever concerns a job. */
export function jobAttributes(job: {
  chapterId: number
  kind: string
  jobId: string
  attempt: number
}): Record<string, string | number> {
  return {
    'chaptercast.chapter_id': job.chapterId,
    'chaptercast.kind': job.kind,
    'chaptercast.job_id': job.jobId,
    'chaptercast.attempt': job.attempt,
  }
}

/** Does `work` within a span that ends with it. */
export async function traced<T>(
  tracing: Tracing | undefined,
  name: string,
  about: SpanAbout,
  work: (span?: Span) => Promise<T>,
): Promise<T> {
  if (tracing === undefined) return await work()
  const span = tracing.start(name, about)
  try {
    return await span.run(() => work(span))
  } catch (error) {
    span.end(error)
    throw error
  } finally {
    span.end()
  }
}
