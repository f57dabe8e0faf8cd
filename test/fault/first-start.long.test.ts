/**
 * The very first start is killed in the middle: half a database must not be opened by the next.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { spawnServer, startServer, workFolder } from '../support/server-process.js'
import { viewChapter } from '../support/views.js'

t.test(
  'killed while its database is being made, and again while it is filled, the next start works',
  async (t) => {
    const folder = await workFolder(t)
    for (const name of ['pglite.new', 'pglite']) {
      const killed = await spawnServer(t, folder)
      await waitFor(name, () => existsSync(join(folder, '.data', name)), { timeoutMs: 60_000, everyMs: 1 })
      t.same(await killed.end('SIGKILL'), { code: null, signal: 'SIGKILL' })
    }
    const { url } = await startServer(t, folder)
    const id = await createChapter(url)
    await waitFor('it is complete', async () => (await viewChapter(url, id)).status === 'completed')
  },
)
