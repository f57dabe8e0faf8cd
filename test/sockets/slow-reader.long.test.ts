/** Slow is not stopped: whoever goes on reading gets everything, however long it takes. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connectSocket, createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { query } from '../support/watch.js'

const EVENTS = 4500
const EVENT_BYTES = 2000

for (const transport of ['websocket', 'polling'])
  t.test(
    `a client that takes 500 KB a second of a replay of 9 MB gets all of it (${transport})`,
    async (t) => {
      const { nodes, databaseUrl } = await startNodes(t, 1)
      const [{ url, port }] = nodes as [TestNode]
      const chapterId = await longChapter(url, databaseUrl)
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
  const chapterId = await longChapter(url, databaseUrl, 4)
  const slow = await slowWay(t, port, 500_000)
  const client = await connectSocket(t, slow, { transports: ['websocket'], reconnection: false })
  const { ws } = client.socket.io.engine.transport as unknown as { ws: { pause(): void } }
  client.socket.emit('join_chapter', { chapter_id: chapterId })
  await client.hears('joined_chapter')
  ws.pause()
  await waitFor('it is cut', () => app.io.engine.clientsCount === 0, { timeoutMs: 60_000 })
})

/** A chapter whose log is some megabytes, as no webhook can bring about as quickly. */
async function longChapter(url: string, databaseUrl: string, times = 1): Promise<number> {
  const chapterId = await createChapter(url)
  await query(
    databaseUrl,
    `insert into event (chapter_id, seq, name, payload)
     select ${chapterId}, n, 'concept_started', json_build_object('chapter_id', ${chapterId}, 'status', 'started',
       'attempt', 1, 'message', repeat('x', ${EVENT_BYTES * times}), 'seq', n, 'at', '2026-01-31T09:00:00.000Z')
     from generate_series(5, ${EVENTS}) n`,
  )
  await query(
    databaseUrl,
    `update chapter set last_seq = ${EVENTS}, version = version + 1 where id = ${chapterId}`,
  )
  return chapterId
}

/** Leads to a port, and brings back so many bytes a second; the rest waits with the sender. */
async function slowWay(t: Test, port: number, bytesPerSecond: number): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer({ highWaterMark: 16_384 }, (near) => {
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        near.destroy()
        far.destroy()
        sockets.delete(socket)
      })
    }
    near.pipe(far)
    far.on('data', async (chunk: Buffer) => {
      far.pause()
      if (!near.write(chunk)) await once(near, 'drain').catch(() => {})
      await delay((chunk.length / bytesPerSecond) * 1000)
      far.resume()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}
