/**
 * OpenTelemetry as this program uses it. It reads the standard `OTEL_*` variables by itself; those that it leaves to
 * others are in `Config`.
 *
 * - Requests: `@fastify/otel`, one span each. Requests that go out by `fetch`: the official instrumentation of undici.
 *   Neither patches a module, so no loader is needed, and all of it works in ES modules.
 * - Everything else is a span of the part that does it (`tracing.ts`). The instrumentation of kafkajs would write the
 *   trace of a whole batch into each of its messages; each message continues the trace of its own chapter instead.
 * - What is sent waits in memory, bounded, and is dropped when it cannot be sent. Nobody waits for it.
 */
import fastifyOtel from '@fastify/otel'
import {
  type Context,
  context,
  DiagLogLevel,
  diag,
  type Span as OtelSpan,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  type ExportResult,
  ExportResultCode,
  parseTraceParent,
  setGlobalErrorHandler,
  W3CTraceContextPropagator,
} from '@opentelemetry/core'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { abortable } from '../async/deadline.js'
import type { TelemetryConfig } from '../config/config.js'
import { createMetricBridge } from './metric-bridge.js'
import type { Span, Telemetry, Tracing } from './tracing.js'

/** Time for sending the rest at shutdown, ms. */
const CLOSE_MS = 1000

const KINDS = { client: SpanKind.CLIENT, producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER } as const

export function openOpenTelemetry(
  config: TelemetryConfig,
  log: FastifyBaseLogger,
  serviceName: string,
): Telemetry {
  let isOpening = true
  // Settings that it cannot use are told of now. What fails later is told of by `watched`.
  const told = (text: string, ...more: unknown[]) =>
    isOpening ? log.warn({ more }, `OpenTelemetry: ${text}`) : log.debug({ more }, `OpenTelemetry: ${text}`)
  const quiet = () => {}
  const logger = { error: told, warn: told, info: quiet, debug: quiet, verbose: quiet }
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
  setGlobalErrorHandler((error) => log.debug({ err: error }, 'OpenTelemetry failed'))
  shareContexts()

  const resource = defaultResource()
    .merge(resourceFromAttributes({ 'service.name': serviceName }))
    .merge(detectResources({ detectors: [envDetector] }))
  const tracer = config.traces ? openTracer() : undefined
  let reader: PeriodicExportingMetricReader | undefined
  let meters: MeterProvider | undefined
  let lastMetrics: Promise<void> | undefined
  isOpening = false

  function openTracer() {
    const exporter = watched(new OTLPTraceExporter(), 'traces', log)
    const provider = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter)] })
    const undici = new UndiciInstrumentation({
      requireParentforSpans: true,
      // Several a second for each job, and of no use in a trace.
      ignoreRequestHook: ({ path }) => isPartial(path),
      // A query may hold a key.
      startSpanHook: ({ origin, path }) => ({ 'url.full': origin + pathOf(path), 'url.query': '' }),
    })
    undici.setTracerProvider(provider)
    return { provider, undici, tracing: createTracing(provider) }
  }

  return {
    tracing: tracer?.tracing,
    async traceRequests(app) {
      if (tracer !== undefined) await traceRequests(app, tracer.provider)
    },
    exportMetrics(registry) {
      if (!config.metrics) return
      reader = new PeriodicExportingMetricReader({
        exporter: watched(new OTLPMetricExporter(), 'metrics', log),
        exportIntervalMillis: config.metricIntervalMs,
        exportTimeoutMillis: Math.min(config.metricIntervalMs, 30_000),
        metricProducers: [createMetricBridge(registry)],
      })
      meters = new MeterProvider({ resource, readers: [reader] })
    },
    leaving() {
      lastMetrics = meters?.shutdown().catch(() => {})
    },
    async close() {
      tracer?.undici.disable()
      const sent = Promise.all([lastMetrics ?? meters?.shutdown(), tracer?.provider.shutdown()])
      await abortable(sent, AbortSignal.timeout(CLOSE_MS)).catch((error: unknown) =>
        log.debug({ err: error }, 'the last traces and metrics were not sent'),
      )
    },
  }
}

/** Once for the process, and for good: neither holds anything. */
function shareContexts(): void {
  if (isSharing) return
  isSharing = true
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
}
let isSharing = false

function createTracing(provider: BasicTracerProvider): Tracing {
  const tracer = provider.getTracer('chaptercast')
  return {
    current() {
      const span = trace.getSpanContext(context.active())
      return span === undefined ? undefined : textOf(span)
    },
    start(name, { parent, kind, links = [], attributes = {} }) {
      const from = parent === null ? ROOT_CONTEXT : contextOf(parent)
      const options = {
        attributes,
        links: links.flatMap((link) => parseTraceParent(link) ?? []).map((linked) => ({ context: linked })),
        ...(kind === undefined ? {} : { kind: KINDS[kind] }),
      }
      return spanOf(tracer.startSpan(name, options, from), from)
    },
  }
}

function spanOf(span: OtelSpan, from: Context): Span {
  return {
    traceparent: textOf(span.spanContext()),
    link(traceparent) {
      const linked = parseTraceParent(traceparent)
      if (linked !== null) span.addLink({ context: linked })
    },
    run: (work) => context.with(trace.setSpan(from, span), work),
    end(error) {
      if (!span.isRecording()) return
      if (error !== undefined)
        span.setStatus({
          code: SpanStatusCode.ERROR,
          message: error instanceof Error ? error.name : 'failed',
        })
      span.end()
    },
  }
}

function contextOf(traceparent: string): Context {
  const parent = parseTraceParent(traceparent)
  return parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true })
}

function textOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

/** A span for each request of the API. What is created by it continues this span, as if its client had asked for that. */
async function traceRequests(app: FastifyInstance, provider: BasicTracerProvider): Promise<void> {
  const instrumentation = new fastifyOtel.FastifyOtelInstrumentation({
    instrumentHooks: false,
    instrumentHandler: false,
    // What is refused is told of by its status; its text may quote what was sent.
    recordExceptions: false,
    ignorePaths: ({ url }) => !url.startsWith('/v1/') || isPartial(url),
    requestHook(span, { method, url, routeOptions }) {
      span.updateName(`${method} ${routeOptions.url ?? ''}`.trimEnd())
      span.setAttribute('url.path', pathOf(url))
    },
  })
  instrumentation.setTracerProvider(provider)
  await app.register(instrumentation.plugin())
  app.addHook('onRequest', (request, _reply, done) => {
    const { span } = request.opentelemetry()
    if (span) request.raw.headers.traceparent = textOf(span.spanContext())
    done()
  })
  // Reading the body loses the context.
  app.addHook('preHandler', (request, _reply, done) => {
    const { context: own } = request.opentelemetry()
    if (own) context.with(own, done)
    else done()
  })
  // A refusal is no error of the server’s.
  app.addHook('onSend', (request, { statusCode }, payload, done) => {
    if (statusCode >= 400 && statusCode < 500)
      request.opentelemetry().span?.setStatus({ code: SpanStatusCode.OK })
    done(null, payload)
  })
}

function isPartial(url: string): boolean {
  return pathOf(url).endsWith('-partial')
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? ''
}

interface Exporter<Items> {
  export(items: Items, done: (result: ExportResult) => void): void
}

/** Logs once that the receiver refuses, and once that it accepts again. */
function watched<Items, E extends Exporter<Items>>(exporter: E, what: string, log: FastifyBaseLogger): E {
  const send = exporter.export.bind(exporter)
  let isAway = false
  exporter.export = (items, done) =>
    send(items, (result) => {
      const hasFailed = result.code !== ExportResultCode.SUCCESS
      const problem = result.error?.message.slice(0, 300)
      if (hasFailed && !isAway) log.warn({ problem }, `${what} are not taken by OTLP; they are dropped`)
      if (!hasFailed && isAway) log.info(`${what} are taken by OTLP again`)
      isAway = hasFailed
      done(result)
    })
  return exporter
}
