import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Prints what the server has loaded after its start. The API alone is there: prom-client has it, for types of labels. */
const PROGRAM = `
  import { createRequire } from 'node:module'
  import './dist/app.js'
  const { openTelemetry } = await import('./dist/telemetry/telemetry.js')
  const { readConfig } = await import('./dist/config/config.js')
  await openTelemetry(readConfig(process.env), { info() {}, warn() {} })
  const loaded = Object.keys(createRequire(import.meta.url).cache)
  console.log(loaded.filter((file) => /@opentelemetry\\/(?!api\\/)|@fastify\\/otel/.test(file)).length)
  process.exit()
`

async function countLoaded(env: NodeJS.ProcessEnv): Promise<number> {
  const { PATH } = process.env
  const run = promisify(execFile)
  const args = ['--input-type=module', '--eval', PROGRAM]
  const { stdout } = await run(process.execPath, args, { cwd: ROOT, env: { PATH, ...env } })
  return Number(stdout)
}

t.test('without an endpoint, or with OTEL_SDK_DISABLED, nothing of OpenTelemetry is loaded', async (t) => {
  const OTEL_EXPORTER_OTLP_ENDPOINT = 'http://127.0.0.1:4318'
  t.equal(await countLoaded({}), 0)
  t.equal(await countLoaded({ OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: 'true' }), 0)
  t.ok((await countLoaded({ OTEL_EXPORTER_OTLP_ENDPOINT })) > 0, 'this test would see it')
})
