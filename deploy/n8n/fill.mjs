/**
 * Writes into a folder what n8n imports: the three credentials, from the environment, and the workflow that takes
 * jobs from Kafka, with the model and the topics' prefix. `node fill.mjs FOLDER`; the credentials are in plain
 * text, so the folder is private.
 *
 * The names are those of the product's settings. The webhook secret is the first of several.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('node fill.mjs FOLDER')

const { env } = process
const baseUrl = env.OPENAI_BASE_URL || 'https://api.openai.com/v1'
const secrets = env.WEBHOOK_SECRET || readFileSync(env.WEBHOOK_SECRET_FILE, 'utf8')
const mechanism = env.KAFKA_SASL_MECHANISM || ''

const credentials = [
  {
    id: 'chaptercastKafka',
    name: 'chaptercast Kafka',
    type: 'kafka',
    data: {
      clientId: 'n8n',
      brokers: env.KAFKA_BROKERS,
      ssl: env.KAFKA_SSL === 'true',
      authentication: mechanism !== '',
      ...(mechanism === ''
        ? {}
        : {
            username: env.KAFKA_SASL_USERNAME,
            password: env.KAFKA_SASL_PASSWORD,
            saslMechanism: mechanism,
          }),
    },
  },
  {
    id: 'chaptercastModel',
    name: 'chaptercast model',
    type: 'openAiApi',
    // A server of one's own may want no key; n8n wants one all the same.
    data: { apiKey: env.OPENAI_API_KEY || 'none', organizationId: '', url: baseUrl, header: false },
  },
  {
    id: 'chaptercastHooks',
    name: 'chaptercast webhooks',
    type: 'httpBearerAuth',
    data: { token: secrets.split(/[,\n]/)[0].trim() },
  },
]
write('credentials.json', credentials)
const idOf = Object.fromEntries(credentials.map(({ id, name }) => [name, id]))

const workflow = JSON.parse(readFileSync(new URL('workflows/kafka.json', import.meta.url), 'utf8'))
const given = { base_url: baseUrl, model: env.OPENAI_MODEL }
for (const node of workflow.nodes) {
  if (node.name === 'Settings')
    for (const field of node.parameters.assignments.assignments)
      if (given[field.name]) field.value = given[field.name]
  if (node.type === 'n8n-nodes-base.kafkaTrigger')
    for (const name of ['topic', 'groupId'])
      node.parameters[name] = `${env.KAFKA_TOPIC_PREFIX || ''}${node.parameters[name]}`
  // The editor finds a credential by its name; the command line wants its id.
  for (const used of Object.values(node.credentials ?? {})) used.id = idOf[used.name]
}
write('kafka.json', workflow)

function write(file, content) {
  writeFileSync(join(folder, file), JSON.stringify(content), { mode: 0o600 })
}
