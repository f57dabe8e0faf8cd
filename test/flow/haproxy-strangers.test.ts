/**
 * Strangers through the load balancer, on three nodes: what they leave behind, and whom they hold up.
 */
import { promisify } from 'node:util'
import t from 'tap'
import { connectSocket, createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { openRawHttp, type RawHttp, requestText } from '../support/raw-http.js'
import { longChapter, slowWay } from '../support/slow-reading.js'
import { startNodes } from '../support/three-nodes.js'

/** So many joins, and as many leaves, on each of the connections that flood a node. */
const JOINS = 1000
const FLOODS = 2
/** Of a replay that is read slowly. */
const EVENTS = 800
const EVENT_BYTES = 2000

t.setTimeout(120_000)
const program = await findHaproxy()

if (program === undefined) t.fail('HAProxy is needed: apt-get install haproxy')
else {
  const { nodes, databaseUrl } = await startNodes(t, 3)
  const { url } = await startHaproxy(
    t,
    program,
    nodes.map(({ port }) => port),
  )
  const id = await createChapter(url)

  const everyNode = async (of: (node: (typeof nodes)[number]) => Promise<number>) =>
    (await Promise.all(nodes.map(of))).reduce((sum, count) => sum + count)
  const rooms = () =>
    everyNode(async ({ app }) => {
      const { payload } = await app.inject('/metrics')
      return Number(/^chaptercast_rooms (\d+)$/m.exec(payload)?.[1])
    })
  const connections = () => everyNode(({ app }) => promisify(app.server.getConnections.bind(app.server))())

  const OPENED: Record<string, (client: RawHttp) => Promise<unknown>> = {
    'an event stream': (client) => {
      client.send(requestText(`/v1/chapter/${id}/events`, { headers: ['accept: text/event-stream'] }))
      return waitFor('the stream is open', () => client.text().includes('chapter_processing_started'))
    },
    'downloads that nobody reads': async (client) => {
      client.socket.pause()
      client.send(requestText('/docs/static/swagger-ui-bundle.js').repeat(50))
    },
    'half a body': async (client) => {
      const headers = ['content-type: application/json', 'content-length: 900000']
      client.send(`${requestText('/v1/chapter/', { method: 'POST', headers })}{"a`)
    },
  }
  const LEFT: Record<string, (client: RawHttp) => void> = {
    'closes its connection': ({ socket }) => socket.destroy(),
    'resets its connection': ({ socket }) => socket.resetAndDestroy(),
    'closes only its own side': ({ socket }) => {
      socket.allowHalfOpen = true
      socket.end()
    },
  }
  for (const [how, leave] of Object.entries(LEFT))
    t.test(`behind the load balancer too a client that ${how} leaves nothing on the nodes`, async (t) => {
      await waitFor('nobody is there', async () => (await rooms()) === 0)
      const CLIENTS = 20
      for (const [what, open] of Object.entries(OPENED)) {
        const clients = await Promise.all(Array.from({ length: CLIENTS }, () => openRawHttp(t, url)))
        await Promise.all(clients.map(open))
        await waitFor(`${what} is at the nodes`, async () => (await connections()) >= CLIENTS)
        for (const client of clients) leave(client)
        // HAProxy keeps a few connections of its own, for checks and to use them again.
        await waitFor(`${what} is given up`, async () => (await connections()) < CLIENTS / 2)
        await waitFor('every room is closed', async () => (await rooms()) === 0)
      }
    })

  t.test('behind the load balancer too others are answered while a client joins and leaves', async (t) => {
    const floods = await Promise.all(
      Array.from({ length: FLOODS }, () => connectSocket(t, url, { transports: ['websocket'] })),
    )
    let answers = 0
    for (const { socket } of floods)
      for (let index = 0; index < JOINS; index += 1)
        for (const name of ['join_chapter', 'leave_chapter'])
          socket.emit(name, { chapter_id: 1_000_000 + index }, () => {
            answers += 1
          })
    await waitFor('the first are answered', () => answers > 0)
    const other = await connectSocket(t, url, { transports: ['websocket'] })
    t.match(await other.ask('join_chapter', { chapter_id: id }), { ok: true })
    for (const node of nodes) t.equal((await fetch(`${node.url}/healthz`)).status, 200)
    t.ok(answers < 2 * FLOODS * JOINS, `${answers} answers came first`)
  })

  for (const transport of ['websocket', 'polling'])
    t.test(`behind the load balancer too a slow reader gets all of a replay (${transport})`, async (t) => {
      const chapterId = await longChapter(url, databaseUrl, EVENTS, EVENT_BYTES)
      const slow = await slowWay(t, Number(new URL(url).port), 500_000)
      const client = await connectSocket(t, slow, { transports: [transport] })
      const reasons: string[] = []
      client.socket.on('disconnect', (reason) => reasons.push(reason))
      client.socket.emit('join_chapter', { chapter_id: chapterId })
      const seqs = () => client.heard.flatMap(({ payload }) => payload?.seq ?? [])
      await waitFor('the whole replay', () => seqs().length >= EVENTS, { timeoutMs: 60_000, everyMs: 50 })
      t.same(reasons, [], 'on one connection')
      t.same(
        seqs(),
        Array.from({ length: EVENTS }, (_, index) => index + 1),
      )
    })
}
