import { DataPointType, type MetricData } from '@opentelemetry/sdk-metrics'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import t from 'tap'
import { createMetricBridge } from '../../src/telemetry/metric-bridge.js'

t.test('counters, gauges and histograms of /metrics are the same numbers by OTLP', async (t) => {
  const registry = new Registry()
  const registers = [registry]
  const counter = new Counter({ name: 'made_total', help: 'Made', labelNames: ['what'], registers })
  counter.inc({ what: 'a' }, 2)
  counter.inc({ what: 'b' })
  new Gauge({ name: 'open', help: 'Open', registers }).set(-1.5)
  const took = new Histogram({ name: 'took', help: 'Took', labelNames: ['of'], buckets: [0.1, 1], registers })
  for (const seconds of [0.05, 0.5, 0.7, 3]) took.observe({ of: 'a' }, seconds)
  took.observe({ of: 'b' }, 1)

  const { resourceMetrics } = await createMetricBridge(registry).collect()
  const metrics = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
  const of = (name: string) => {
    const metric = metrics.find(({ descriptor }) => descriptor.name === name) as MetricData
    return { ...metric, points: metric.dataPoints.map(({ attributes, value }) => ({ attributes, value })) }
  }
  t.match(of('made_total'), { dataPointType: DataPointType.SUM, isMonotonic: true })
  t.same(of('made_total').points, [
    { attributes: { what: 'a' }, value: 2 },
    { attributes: { what: 'b' }, value: 1 },
  ])
  t.match(of('open'), { dataPointType: DataPointType.GAUGE })
  t.same(of('open').points, [{ attributes: {}, value: -1.5 }])
  t.same(of('took').points, [
    {
      attributes: { of: 'a' },
      value: { buckets: { boundaries: [0.1, 1], counts: [1, 2, 1] }, sum: 4.25, count: 4 },
    },
    {
      attributes: { of: 'b' },
      value: { buckets: { boundaries: [0.1, 1], counts: [0, 1, 0] }, sum: 1, count: 1 },
    },
  ])
})
