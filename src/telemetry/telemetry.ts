/**
 * Traces and metrics by OTLP, off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set: then nothing of OpenTelemetry is loaded.
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import type { Config } from '../config/config.js'
import type { Tracing } from './tracing.js'

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

/** @param serviceName unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise */
export async function openTelemetry(
  { telemetry }: Pick<Config, 'telemetry'>,
  log: FastifyBaseLogger,
  serviceName = 'chaptercast',
): Promise<Telemetry | undefined> {
  if (telemetry === undefined) return undefined
  const { openOpenTelemetry } = await import('./opentelemetry.js')
  return openOpenTelemetry(telemetry, log, serviceName)
}
