/**
 * The metrics of prom-client as OpenTelemetry’s, under the same names: so each is written once, for both. There is a
 * bridge like this for Go (`go.opentelemetry.io/contrib/bridges/prometheus`), and none for JavaScript yet.
 */
import { type Attributes, type HrTime, ValueType } from '@opentelemetry/api'
import { hrTime } from '@opentelemetry/core'
import { emptyResource } from '@opentelemetry/resources'
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics'
import type { MetricObjectWithValues, MetricValue, Registry } from 'prom-client'

type Metric = MetricObjectWithValues<MetricValue<string>>
/** prom-client names the parts of a histogram, which its types leave out. */
type Value = MetricValue<string> & { metricName?: string }

export function createMetricBridge(registry: Pick<Registry, 'getMetricsAsJSON'>): MetricProducer {
  const startTime = hrTime()
  return {
    async collect() {
      const times = { startTime, endTime: hrTime() }
      const known = (await registry.getMetricsAsJSON()) as Metric[]
      const metrics = known.flatMap((metric) => metricOf(metric, times) ?? [])
      const scopeMetrics = [{ scope: { name: 'chaptercast' }, metrics }]
      return { resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] }
    },
  }
}

interface Times {
  startTime: HrTime
  endTime: HrTime
}

/** @returns undefined for a summary, which OpenTelemetry does not have; this program has none */
function metricOf({ name, help, type, values }: Metric, times: Times): MetricData | undefined {
  const about = {
    descriptor: { name, description: help, unit: '', valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  }
  // By their names: prom-client’s types say that these are numbers.
  const kind = String(type)
  if (kind === 'histogram')
    return { ...about, dataPointType: DataPointType.HISTOGRAM, dataPoints: histograms(values, times) }
  const dataPoints = values.map(({ value, labels }) => ({
    ...times,
    attributes: attributesOf(labels),
    value,
  }))
  if (kind === 'counter') return { ...about, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
  if (kind === 'gauge') return { ...about, dataPointType: DataPointType.GAUGE, dataPoints }
  return undefined
}

/** One point for each set of labels. Prometheus counts buckets up to a bound, OpenTelemetry between two. */
function histograms(values: readonly Value[], times: Times): DataPoint<Histogram>[] {
  const points = new Map<
    string,
    { attributes: Attributes; upTo: [bound: number, count: number][]; sum: number }
  >()
  for (const { metricName = '', labels, value } of values) {
    const { le, ...attributes } = attributesOf(labels)
    const key = JSON.stringify(attributes)
    const point = points.get(key) ?? { attributes, upTo: [], sum: 0 }
    points.set(key, point)
    if (metricName.endsWith('_bucket')) point.upTo.push([boundOf(le), value])
    else if (metricName.endsWith('_sum')) point.sum = value
  }
  return [...points.values()].map(({ attributes, upTo, sum }) => {
    upTo.sort(([a], [b]) => a - b)
    const boundaries = upTo.map(([bound]) => bound).filter(Number.isFinite)
    const counts = upTo.map(([, count], index) => count - (upTo[index - 1]?.[1] ?? 0))
    const count = upTo.at(-1)?.[1] ?? 0
    return { ...times, attributes, value: { buckets: { boundaries, counts }, sum, count } }
  })
}

function boundOf(le: unknown): number {
  return le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)
}

function attributesOf(labels: Readonly<Record<string, unknown>>): Attributes {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]))
}
