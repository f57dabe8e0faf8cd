import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Prints how much of OpenTelemetry is loaded after the start of a server with the first settings, then with the second,
 * and so on. The API alone is there: prom-client has it, for types of labels.
 */
const PROGRAM = `
  import { createRequire } from 'node:module'
  import './dist/app.js'
  const { openTelemetry } = await import('./dist/telemetry/telemetry.js')
  const { readConfig } = await import('./dist/config/config.js')
  for (const settings of JSON.parse(process.env.SETTINGS)) {
    await openTelemetry(readConfig(settings), { info() {}, warn() {} })
    const loaded = Object.keys(createRequire(import.meta.url).cache)
    console.log(loaded.filter((file) => /@opentelemetry\\/(?!api\\/)|@fastify\\/otel/.test(file)).length)
  }
  process.exit()
`

async function countLoaded(settings: Record<string, string>[]): Promise<number[]> {
  const { PATH } = process.env
  const run = promisify(execFile)
  const args = ['--input-type=module', '--eval', PROGRAM]
  const env = { PATH, SETTINGS: JSON.stringify(settings) }
  const { stdout } = await run(process.execPath, args, { cwd: ROOT, env })
  return stdout.trim().split('\n').map(Number)
}

t.test('without an endpoint, or with OTEL_SDK_DISABLED, nothing of OpenTelemetry is loaded', async (t) => {
  const OTEL_EXPORTER_OTLP_ENDPOINT = 'http://127.0.0.1:4318'
  const [without, disabled, enabled = 0] = await countLoaded([
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: 'true' },
    { OTEL_EXPORTER_OTLP_ENDPOINT },
  ])
  t.equal(without, 0)
  t.equal(disabled, 0)
  t.ok(enabled > 0, 'this test would see it')
})
