import { createRequire } from 'node:module'
import t from 'tap'
import { buildTestApp } from '../support/app.js'

/** The API alone is there in any case: prom-client has it, for its types of labels. */
const loaded = () =>
  Object.keys(createRequire(import.meta.url).cache).filter((file) =>
    /@opentelemetry\/(?!api\/)|@fastify\/otel/.test(file),
  )

t.test('without an endpoint, or with OTEL_SDK_DISABLED, nothing of OpenTelemetry is loaded', async (t) => {
  await buildTestApp(t)
  await buildTestApp(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318', OTEL_SDK_DISABLED: 'true' })
  t.same(loaded(), [])
  await import('../../src/telemetry/opentelemetry.js')
  t.not(loaded().length, 0, 'this test would see it')
})
