/**
 * DATA_DIR=memory: for trying it out, and for nothing that should last.
 */
import { readdir } from 'node:fs/promises'
import t from 'tap'
import { createChapter, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { startServer, workFolder } from '../support/server-process.js'
import { viewChapter } from '../support/views.js'

t.test('with DATA_DIR=memory nothing is kept, and nothing is written', async (t) => {
  const folder = await workFolder(t)
  const env = { DATA_DIR: 'memory' }
  const first = await startServer(t, folder, env)
  const id = await createChapter(first.url)
  await waitFor('complete', async () => (await viewChapter(first.url, id)).status === 'completed')
  t.same(await first.end('SIGTERM'), { code: 0, signal: null })
  const second = await startServer(t, folder, env)
  t.equal((await request(`${second.url}/v1/chapter/${id}`)).status, 404)
  t.same(await readdir(folder), [])
})
