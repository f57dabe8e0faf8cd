import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readEnvFile } from '../../src/config/env-file.js'
import { createChapter, post, request } from '../support/client.js'
import { spawnServer, startServer, workFolder, workFolderWithData } from '../support/server-process.js'

t.test('a server takes settings from .env that the environment does not set, and says which', async (t) => {
  const folder = await workFolderWithData(t)
  await writeFile(
    join(folder, '.env'),
    // The test gives the port by the environment.
    '# mine\nPORT=1\nWEBHOOK_SECRET="a word"\nGENERATOR=off\nGENERATION_MAX_ATTEMPTS=7\n',
  )
  const server = await startServer(t, folder)
  const line = server
    .output()
    .split('\n')
    .find((each) => each.includes('settings were read from .env'))
  t.match(JSON.parse(line ?? '{}'), {
    settings: ['GENERATION_MAX_ATTEMPTS', 'GENERATOR', 'WEBHOOK_SECRET'],
  })
  t.notMatch(server.output(), 'a word', 'values are not shown')

  const chapterId = await createChapter(server.url)
  const view = await request(`${server.url}/v1/chapter/${chapterId}`)
  t.equal(view.body.jobs[0].max_attempts, 7)
  const refused = await post(`${server.url}/v1/chapter/${chapterId}/concept-start`)
  t.equal(refused.status, 401)
})

t.test('without .env nothing is read', async (t) => {
  t.equal(readEnvFile(join(t.testdir({}), '.env')), undefined)
})

t.test('a start that .env makes impossible names the file and what it sets', async (t) => {
  const folder = await workFolder(t)
  await writeFile(join(folder, '.env'), 'GENERATION_MAX_ATTEMPTS=none\nLOG_LEVEL=warn\n')
  const server = await spawnServer(t, folder)
  t.same(await server.ended, { code: 1, signal: null })
  t.match(server.output(), 'GENERATION_MAX_ATTEMPTS=none must be a whole number')
  t.match(server.output(), /\.env was read; it sets GENERATION_MAX_ATTEMPTS, LOG_LEVEL/)
})

t.test('a .env that cannot be read is refused, and the message names it', async (t) => {
  t.throws(() => readEnvFile(join(t.testdir({ '.env': {} }), '.env')), {
    name: 'ConfigError',
    message: /\.env cannot be read/,
  })
})
