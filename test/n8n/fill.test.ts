import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { CREDENTIALS, type Workflow } from '../../src/n8n/workflow.js'

const ENV = {
  KAFKA_BROKERS: 'kafka:9092',
  WEBHOOK_SECRET: 'new, old',
  OPENAI_MODEL: 'qwen3',
  OPENAI_API_KEY: 'k"\\$1',
}

t.test('settings become credentials, and nothing of them is left in a workflow', async (t) => {
  const files = await fill(t, { ...ENV, OPENAI_BASE_URL: 'http://ollama:11434/v1' })
  const credentials = files['credentials.json'] as { id: string; name: string; type: string; data: object }[]
  t.strictSame(
    credentials.map(({ name, type }) => [type, name]),
    Object.entries(CREDENTIALS).map(([type, { name }]) => [type, name]),
    'the ones that the nodes name',
  )
  t.match(
    credentials.map(({ data }) => data),
    [{ brokers: 'kafka:9092', ssl: false, authentication: false }, { apiKey: 'k"\\$1' }, { token: 'new' }],
  )
  const workflow = files['kafka.json'] as Workflow
  t.notMatch(JSON.stringify(workflow), /new, old|k"/)
  const used = new Set(
    workflow.nodes.flatMap((node) => Object.values(node.credentials ?? {}).map(({ id }) => id)),
  )
  t.strictSame(used, new Set(credentials.map(({ id }) => id)))
  const settings = JSON.stringify(workflow.nodes.find(({ name }) => name === 'Settings'))
  t.match(settings, /"value":"qwen3"/)
  t.match(settings, /"value":"http:\/\/ollama:11434\/v1"/)
})

t.test('a prefix, TLS and SASL reach the triggers and their credential', async (t) => {
  const files = await fill(t, {
    ...ENV,
    KAFKA_TOPIC_PREFIX: 'a-',
    KAFKA_SSL: 'true',
    KAFKA_SASL_MECHANISM: 'scram-sha-256',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: 'p',
  })
  const data = {
    ssl: true,
    authentication: true,
    username: 'u',
    password: 'p',
    saslMechanism: 'scram-sha-256',
  }
  t.match(files['credentials.json'], [{ data }])
  const triggers = (files['kafka.json'] as Workflow).nodes.filter(({ type }) => type.endsWith('kafkaTrigger'))
  t.match(
    triggers.map(({ parameters }) => parameters),
    ['concept', 'exercise', 'quiz'].map((kind) => ({
      topic: `a-${kind}-generation`,
      groupId: `a-n8n-${kind}-generation`,
    })),
  )
})

async function fill(t: Test, env: Record<string, string>): Promise<Record<string, unknown>> {
  const folder = await mkdtemp(join(tmpdir(), 'chaptercast-fill-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await promisify(execFile)(process.execPath, ['deploy/n8n/fill.mjs', folder], { env })
  const names = await readdir(folder)
  for (const name of names) t.equal((await stat(join(folder, name))).mode & 0o77, 0, 'private')
  const read = async (name: string) => [name, JSON.parse(await readFile(join(folder, name), 'utf8'))]
  return Object.fromEntries(await Promise.all(names.map(read)))
}
