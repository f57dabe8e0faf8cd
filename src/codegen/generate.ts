/**
 * Writes what is generated from the code: migrations in `drizzle/`, `openapi.json`, `.env.example`, the client’s
 * `contract.ts`, the Python client’s `contract.py`, the n8n workflows, the prompts of the n8n node, and the tables of `docs/` and the READMEs. `npm run
 * generate`; the gate fails when it changes anything.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import type { TSchema } from '@sinclair/typebox'
import { buildApp } from '../app.js'
import { readConfig } from '../config/config.js'
import { SETTINGS } from '../config/settings.js'
import { END_EVENTS, EVENTS } from '../contract/event.js'
import { DEAD_LETTER_TOPIC, DeadLetter, GenerationMessage, TOPICS } from '../contract/generation.js'
import { exampleWorkflow } from '../n8n/example.js'
import { generatedForNode } from '../n8n/node-package.js'
import { SOURCES, workflowOf } from '../n8n/workflow.js'
import { clientContract } from './client-contract.js'
import { pythonContract } from './python-contract.js'

const root = new URL('../../', import.meta.url)
const pathOf = (name: string) => new URL(name, root)

const settings = Object.entries(SETTINGS).map(([name, setting]) => {
  const { about, default: value } = setting
  const defaultAbout = 'defaultAbout' in setting ? setting.defaultAbout : undefined
  return { name, about, value: defaultAbout ?? String(value ?? ''), isFixed: defaultAbout === undefined }
})

execFileSync(
  'npx',
  [
    'drizzle-kit',
    'generate',
    '--dialect',
    'postgresql',
    '--schema',
    'src/store/schema.ts',
    '--out',
    'drizzle',
  ],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
)

writeFileSync(
  pathOf('.env.example'),
  [
    '# Every setting with its default. Nothing needs to be set.',
    ...settings.map(({ name, about, value, isFixed }) =>
      isFixed ? `\n# ${about}\n#${name}=${value}` : `\n# ${about}; unset: ${value}\n#${name}=`,
    ),
    '',
  ].join('\n'),
)

const app = await buildApp(readConfig({ DATA_DIR: 'memory', LOG_LEVEL: 'silent', GENERATOR: 'off' }))
await app.ready()
writeFileSync(pathOf('src/contract/openapi.json'), `${JSON.stringify(app.swagger(), null, 2)}\n`)
await app.close()

writeFileSync(pathOf('src/client/contract.ts'), await clientContract())
writeFileSync(pathOf('deploy/clients/python/src/chaptercast/contract.py'), pythonContract())
for (const source of SOURCES)
  writeFileSync(
    pathOf(`deploy/n8n/workflows/${source}.json`),
    `${JSON.stringify(workflowOf(source), null, 2)}\n`,
  )
writeFileSync(pathOf('deploy/n8n/node/nodes/Chaptercast/generated.ts'), generatedForNode())
writeFileSync(
  pathOf('deploy/n8n/node/example-workflow.json'),
  `${JSON.stringify(exampleWorkflow(), null, 2)}\n`,
)

const settingsTable = [
  '| Name | Default | Meaning |',
  '|---|---|---|',
  ...settings.map(
    ({ name, value, about }) => `| \`${name}\` | ${value === '' ? '' : `\`${value}\``} | ${about} |`,
  ),
].join('\n')

/** Events that differ in their kind only are one line. */
const eventRows = new Map<string, string>()
for (const [name, { properties, description }] of Object.entries(EVENTS)) {
  const payload = Object.keys(properties).map((field) => `\`${field}\``)
  const ends = (END_EVENTS as readonly string[]).includes(name) ? '; ends a run' : ''
  const cells = `${description}${ends} | ${payload.join(', ')}`
  const known = eventRows.get(cells)
  const ofEachKind = `\`{kind}_${name.split('_').at(-1)}\``
  eventRows.set(cells, known === undefined ? `\`${name}\`` : ofEachKind)
}
const eventsTable = [
  '| Event | When | Payload |',
  '|---|---|---|',
  ...[...eventRows].map(([cells, name]) => `| ${name} | ${cells} |`),
].join('\n')

const topics = Object.entries(TOPICS).map(([kind, topic]) => `| \`${topic}\` | \`${kind}\` |`)
const messageRows = Object.entries(DeadLetter.properties).map(([name, schema]) => {
  const { type, enum: values, description, properties } = schema as TSchema
  const kind = Array.isArray(values)
    ? values.map((value) => `\`${value}\``).join(', ')
    : [type].flat().join(' or ')
  const only = name in GenerationMessage.properties ? '' : 'Dead letters only. '
  const about = properties === undefined ? (description ?? '') : describeFields(properties)
  return `| \`${name}\` | ${kind} | ${`${only}${about}`.trim()} |`
})
const kafkaTable = [
  '| Topic | Kind of the job |',
  '|---|---|',
  ...topics,
  `| \`${DEAD_LETTER_TOPIC}\` | any; it failed for good |`,
  '',
  '| Field of the value | | |',
  '|---|---|---|',
  ...messageRows,
].join('\n')

function describeFields(properties: Record<string, TSchema>): string {
  return Object.entries(properties)
    .map(([name, { description }]) => `\`${name}\`: ${description}`)
    .join('; ')
}

for (const name of ['README.md', 'README.ko.md', 'docs/settings.md', 'docs/wire.md']) {
  let text = readFileSync(pathOf(name), 'utf8')
  text = fill(text, 'settings', settingsTable)
  text = fill(text, 'events', eventsTable)
  text = fill(text, 'kafka', kafkaTable)
  writeFileSync(pathOf(name), text)
}

/** Replaces what stands between `<!-- name -->` and `<!-- /name -->`, where there is such a place. */
function fill(text: string, name: string, content: string): string {
  return text.replace(
    new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`),
    (_all, open: string, close: string) => `${open}${content}\n${close}`,
  )
}
