import t from 'tap'
import { createChapter, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { startNodes } from '../support/three-nodes.js'
import { viewChapter, viewJob } from '../support/views.js'

t.test('a node that is killed after a part was asked for again leaves it to another', async (t) => {
  const { nodes } = await startNodes(t, 2, {
    process: true,
    env: { GENERATOR: 'sample', GENERATOR_DELAY_MS: '0' },
  })
  const [here, there] = nodes
  const url = here?.url ?? ''
  const id = await createChapter(url)
  await waitFor('it is written', async () => (await viewChapter(url, id)).status === 'completed')
  t.equal((await post(`${url}/v1/chapter/${id}/concept/regenerate`)).status, 202)
  await here?.kill()
  const other = there?.url ?? ''
  await waitFor('it is written again', async () => (await viewChapter(other, id)).status === 'completed', {
    timeoutMs: 60_000,
  })
  t.match(await viewJob(other, id, 'concept'), { status: 'completed', content_revision: 2 })
})
