/**
 * Writes what is generated from the code: migrations in `drizzle/`, `openapi.json`, `asyncapi.json`, `.env.example`, the
 * clients’ `contract.ts` and `contract.py`, the n8n workflows, the prompts of the n8n node, and the tables of `docs/`
 * and the READMEs. `npm run
 * generate`; the gate fails when it changes anything.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { buildApp } from '../app.js'
import { readConfig } from '../config/config.js'
import { SETTINGS } from '../config/settings.js'
import { exampleWorkflow } from '../n8n/example.js'
import { SOURCES } from '../n8n/layout.js'
import { generatedForNode } from '../n8n/node-package.js'
import { workflowOf } from '../n8n/workflow.js'
import { asyncApi } from './asyncapi.js'
import { clientContract } from './client-contract.js'
import { pythonContract } from './python-contract.js'
import { settingsTable, wireTables } from './wire-tables.js'

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
const openApi = app.swagger()
writeFileSync(pathOf('src/contract/openapi.json'), `${JSON.stringify(openApi, null, 2)}\n`)
await app.close()
writeFileSync(pathOf('src/contract/asyncapi.json'), `${JSON.stringify(asyncApi(), null, 2)}\n`)

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

const tables: Record<string, string> = { settings: settingsTable(settings), ...wireTables(openApi, settings) }
for (const name of ['README.md', 'README.ko.md', 'docs/settings.md', 'docs/wire.md']) {
  let text = readFileSync(pathOf(name), 'utf8')
  for (const [place, table] of Object.entries(tables)) text = fill(text, place, table)
  writeFileSync(pathOf(name), text)
}

/** Replaces what stands between `<!-- name -->` and `<!-- /name -->`, where there is such a place. */
function fill(text: string, name: string, content: string): string {
  return text.replace(
    new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`),
    (_all, open: string, close: string) => `${open}${content}\n${close}`,
  )
}
