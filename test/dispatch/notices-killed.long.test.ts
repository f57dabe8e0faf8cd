import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { createChapter, finish } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { noticeReceiver } from '../support/receiver.js'
import { startNodes } from '../support/three-nodes.js'

t.setTimeout(600_000)

t.test('a node is killed over its notices: another one tells of every run', async (t) => {
  const receiver = await noticeReceiver(t)
  // The first ones are never answered: whoever sends them dies over them.
  receiver.reply = () => {}
  const { nodes } = await startNodes(t, 2, { process: true, env: { NOTIFY_URL: receiver.url } })
  const urls = nodes.map(({ url }) => url) as [string, string]
  const ids: number[] = []
  for (let i = 0; i < 6; i += 1) ids.push(await createChapter(urls[0]))
  await Promise.all(ids.flatMap((id) => JOB_KINDS.map((kind) => finish(urls[0], id, kind))))
  await waitFor('some are open', () => receiver.received.length > 0)
  await nodes[0]?.kill()
  receiver.reply = (response) => response.writeHead(200).end()
  await waitFor(
    'all are told',
    async () => {
      const metrics = await Promise.all(
        urls.slice(1).map(async (url) => (await fetch(`${url}/metrics`)).text()),
      )
      const counts = metrics.map((text) =>
        Number(/notices_total\{outcome="delivered"\} (\d+)/.exec(text)?.[1] ?? 0),
      )
      return counts.reduce((sum, count) => sum + count) >= 6
    },
    { timeoutMs: 90_000 },
  )
  for (const id of ids) t.ok(receiver.of(id).length >= 1)
})
