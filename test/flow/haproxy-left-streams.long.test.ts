/**
 * Clients that had asked for more when they left. HAProxy looks at a connection again when it has sent the answer
 * before; so it learns that they are gone when it writes: on a quiet stream at the second word of the node, after 30 s.
 */
import { promisify } from 'node:util'
import t from 'tap'
import { createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { openRawHttp, requestText } from '../support/raw-http.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'

const CLIENTS = 5

const program = await findHaproxy()
if (program === undefined) t.fail('HAProxy is needed: apt-get install haproxy')
else {
  const { nodes } = await startNodes(t, 1)
  const [{ app, port }] = nodes as [TestNode]
  const { url } = await startHaproxy(t, program, [port])
  const id = await createChapter(url)
  const stream = requestText(`/v1/chapter/${id}/events`, { headers: ['accept: text/event-stream'] })
  const connections = promisify(app.server.getConnections.bind(app.server))

  const MORE = [
    requestText('/healthz'),
    requestText('/healthz').repeat(2000),
    `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
  ]
  t.test(
    'behind the load balancer a reader that asked for more and left is noticed at a word of the node',
    async (t) => {
      const rooms = async () => /^chaptercast_rooms (\d+)$/m.exec((await app.inject('/metrics')).payload)?.[1]
      const clients = await Promise.all(
        MORE.flatMap((more) =>
          Array.from({ length: CLIENTS }, async () => {
            const client = await openRawHttp(t, url)
            client.send(stream + more)
            await waitFor('the stream is open', () => client.text().includes('chapter_processing_started'))
            return client
          }),
        ),
      )
      clients.forEach(({ socket }, index) => {
        if (index % 2 === 0) socket.destroy()
        else socket.resetAndDestroy()
      })
      await waitFor('no room is open', async () => (await rooms()) === '0', { timeoutMs: 40_000 })
      await waitFor('their connections are given back', async () => (await connections()) < CLIENTS)
    },
  )
}
