/** Slow is not stopped: whoever goes on reading gets everything, however long it takes. */

import t, { type Test } from 'tap'
import { connectSocket } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { longChapter, slowWay } from '../support/slow-reading.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { openEvents } from './sse-client.js'

const EVENTS = 4500
const EVENT_BYTES = 2000
const ALL = Array.from({ length: EVENTS }, (_, index) => index + 1)

const program = await findHaproxy()
const DOORS: Record<string, (t: Test, node: TestNode) => Promise<number>> = {
  'one node': async (_t, { port }) => port,
  'the load balancer': async (t, { port }) => {
    if (program === undefined) throw new Error('HAProxy is needed: apt-get install haproxy')
    return Number(new URL((await startHaproxy(t, program, [port])).url).port)
  },
}

for (const [door, portOf] of Object.entries(DOORS)) {
  for (const transport of ['websocket', 'polling'])
    t.test(
      `a client that takes 500 KB a second of a replay of 9 MB gets all of it (${transport}, ${door})`,
      async (t) => {
        const { nodes, databaseUrl } = await startNodes(t, 1)
        const [node] = nodes as [TestNode]
        const chapterId = await longChapter(node.url, databaseUrl, EVENTS, EVENT_BYTES)
        const slow = await slowWay(t, await portOf(t, node), 500_000)
        const client = await connectSocket(t, slow, { transports: [transport] })
        const reasons: string[] = []
        client.socket.on('disconnect', (reason) => reasons.push(reason))
        client.socket.emit('join_chapter', { chapter_id: chapterId })
        const seqs = () => client.heard.flatMap(({ payload }) => payload?.seq ?? [])
        await waitFor('the whole replay', () => seqs().length >= EVENTS, { timeoutMs: 90_000, everyMs: 50 })
        t.strictSame(reasons, [], 'on one connection')
        t.strictSame(seqs(), ALL)
        t.match(await client.ask('leave_chapter', { chapter_id: chapterId }), { ok: true })
      },
    )

  t.test(`a reader that takes 500 KB a second of a stream of 9 MB gets all of it (${door})`, async (t) => {
    const { nodes, databaseUrl } = await startNodes(t, 1)
    const [node] = nodes as [TestNode]
    const chapterId = await longChapter(node.url, databaseUrl, EVENTS, EVENT_BYTES)
    const slow = await slowWay(t, await portOf(t, node), 500_000)
    const stream = await openEvents(t, `${slow}/v1/chapter/${chapterId}/events`)
    const last = `\nid: ${EVENTS}\n`
    await waitFor('the last event', () => stream.text().includes(last), { timeoutMs: 90_000, everyMs: 500 })
    t.strictSame(stream.ids(), ALL)
    t.notOk(stream.hasEnded())
  })

  t.test(`a client that takes nothing of a long replay is cut (${door})`, async (t) => {
    const { nodes, databaseUrl } = await startNodes(t, 1)
    const [node] = nodes as [TestNode]
    const chapterId = await longChapter(node.url, databaseUrl, EVENTS, 4 * EVENT_BYTES)
    const slow = await slowWay(t, await portOf(t, node), 500_000)
    const client = await connectSocket(t, slow, { transports: ['websocket'], reconnection: false })
    const { ws } = client.socket.io.engine.transport as unknown as { ws: { pause(): void } }
    client.socket.emit('join_chapter', { chapter_id: chapterId })
    await client.hears('joined_chapter')
    ws.pause()
    // Sooner than because of a ping that it does not answer (45 s).
    await waitFor('it is cut', () => node.app.io.engine.clientsCount === 0, { timeoutMs: 35_000 })
  })
}
