/**
 * Traces and metrics by OTLP, off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set: then nothing of OpenTelemetry is loaded.
 */
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../config/config.js'
import type { Telemetry } from './tracing.js'

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
