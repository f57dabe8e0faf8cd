/**
 * DATA_DIR=memory: for trying it out, and for nothing that should last.
 */
import { readdir } from 'node:fs/promises'
import t from 'tap'
import { createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { startServer, workFolder } from '../support/server-process.js'
import { viewChapter } from '../support/views.js'

t.test('with DATA_DIR=memory nothing is kept, and nothing is written', async (t) => {
  const folder = await workFolder(t)
  const env = { DATA_DIR: 'memory' }
  const { url, end } = await startServer(t, folder, env)
  const id = await createChapter(url)
  await waitFor('complete', async () => (await viewChapter(url, id)).status === 'completed')
  t.same(await readdir(folder), [])
  t.same(await end('SIGTERM'), { code: 0, signal: null })
  t.same(await readdir(folder), [], 'there is nothing that a next start could find')
})
