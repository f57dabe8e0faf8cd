/** Slow is not stopped: whoever goes on reading gets everything, however long it takes. */

import t from 'tap'
import { connectSocket } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { longChapter, slowWay } from '../support/slow-reading.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'

const EVENTS = 4500
const EVENT_BYTES = 2000

for (const transport of ['websocket', 'polling'])
  t.test(
    `a client that takes 500 KB a second of a replay of 9 MB gets all of it (${transport})`,
    async (t) => {
      const { nodes, databaseUrl } = await startNodes(t, 1)
      const [{ url, port }] = nodes as [TestNode]
      const chapterId = await longChapter(url, databaseUrl, EVENTS, EVENT_BYTES)
      const slow = await slowWay(t, port, 500_000)
      const client = await connectSocket(t, slow, { transports: [transport] })
      const reasons: string[] = []
      client.socket.on('disconnect', (reason) => reasons.push(reason))
      client.socket.emit('join_chapter', { chapter_id: chapterId })
      const seqs = () => client.heard.flatMap(({ payload }) => payload?.seq ?? [])
      await waitFor('the whole replay', () => seqs().length >= EVENTS, { timeoutMs: 90_000, everyMs: 50 })
      t.strictSame(reasons, [], 'on one connection')
      t.strictSame(
        seqs(),
        Array.from({ length: EVENTS }, (_, index) => index + 1),
      )
      t.match(await client.ask('leave_chapter', { chapter_id: chapterId }), { ok: true })
    },
  )

t.test('a client that takes nothing of a long replay is cut', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 1)
  const [{ url, port, app }] = nodes as [TestNode]
  const chapterId = await longChapter(url, databaseUrl, EVENTS, 4 * EVENT_BYTES)
  const slow = await slowWay(t, port, 500_000)
  const client = await connectSocket(t, slow, { transports: ['websocket'], reconnection: false })
  const { ws } = client.socket.io.engine.transport as unknown as { ws: { pause(): void } }
  client.socket.emit('join_chapter', { chapter_id: chapterId })
  await client.hears('joined_chapter')
  ws.pause()
  await waitFor('it is cut', () => app.io.engine.clientsCount === 0, { timeoutMs: 60_000 })
})
