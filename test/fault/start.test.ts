/**
 * What keeps a server from starting, and what it says then: one clear message, exit code 1, nothing harmed.
 */
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { openEmbeddedDatabase } from '../../src/store/database.js'
import { buildTestApp } from '../support/app.js'
import { createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { spawnServer, workFolder, workFolderWithData } from '../support/server-process.js'
import { viewChapter } from '../support/views.js'

t.test('a second process on the same data is refused, and the first goes on unharmed', async (t) => {
  const folder = await workFolderWithData(t)
  const dataDir = join(folder, '.data')
  const env = { GENERATOR: 'sample', GENERATOR_DELAY_MS: '0' }
  const first = await buildTestApp(t, env, { database: await openEmbeddedDatabase(dataDir) })
  const before = await createChapter(first.url)
  const second = await spawnServer(t, folder, { DATA_DIR: dataDir })
  t.same(await second.ended, { code: 1, signal: null })
  t.match(second.output(), new RegExp(`^The data directory .* is in use by process ${process.pid}`))
  t.match(second.output(), /DATA_DIR/, 'it says what to do')
  t.notMatch(second.output(), /\n\s+at /, 'without a stack')
  const after = await createChapter(first.url)
  for (const id of [before, after])
    await waitFor('complete', async () => (await viewChapter(first.url, id)).status === 'completed')
})

t.test('bad settings are all listed in one message', async (t) => {
  const folder = await workFolder(t)
  const bad = {
    PORT: '99999',
    GENERATION_TIMEOUT_MS: 'soon',
    GENERATION_MAX_ATTEMPTS: '0',
    GENERATOR: 'magic',
    DEFAULT_LOCALE: 'fr',
    CORS_ORIGIN: 'https://a.example/path',
    PUBLIC_URL: 'localhost:8000',
    LOG_LEVEL: 'loud',
    DATABASE_URL: 'mysql://user:secret-of-mine@db/x',
    REDIS_URL: 'http://:secret-of-mine@r',
    WEBHOOK_SECRET_FILE: '/there/is/none',
    JWT_SECRET: 'secret-of-mine',
  }
  const server = await spawnServer(t, folder, bad)
  t.same(await server.ended, { code: 1, signal: null })
  for (const name of Object.keys(bad)) t.match(server.output(), new RegExp(`^  - ${name}\\b`, 'm'), name)
  t.notMatch(server.output(), /secret-of-mine/, 'no secret is printed')
  t.notMatch(server.output(), /\n\s+at /, 'without a stack')
  t.same(await readdir(folder), [], 'nothing was made')
})

t.test('a port that is taken is named', async (t) => {
  const folder = await workFolderWithData(t)
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await waitFor('the port is taken', () => other.listening)
  const PORT = String((other.address() as { port: number }).port)
  const server = await spawnServer(t, folder, { PORT })
  t.same(await server.ended, { code: 1, signal: null })
  t.match(server.output(), new RegExp(`EADDRINUSE.*${PORT}|port ${PORT}`))
  t.notMatch(server.output(), /\n\s+at /, 'without a stack')
})
