/**
 * A session id (`pid`) is something a client sends, so it can be sent by many connections, and by somebody else.
 */
import t from 'tap'
import { JWT_SECRET } from '../auth/tokens.js'
import { connectSocket, createChapter } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { startNodes, type TestNode } from '../support/three-nodes.js'
import { query } from '../support/watch.js'
import { checkManyConnections, checkStrangers, pidOf } from './one-session.js'
import { openRawSocket } from './raw-socket.js'

const MAX_ROOMS = 20

for (const count of [1, 2])
  t.test(
    `one session id on many connections: it comes back to ${MAX_ROOMS} rooms (${count} nodes)`,
    async (t) => {
      const { nodes, databaseUrl } = await startNodes(t, count, {
        env: { MAX_ROOMS_PER_SOCKET: String(MAX_ROOMS) },
      })
      await checkManyConnections(t, {
        doors: nodes.map(({ url }) => url),
        databaseUrl,
        maxRooms: MAX_ROOMS,
        nodes,
      })
      t.ok(nodes.flatMap(({ log }) => log).length < 100, 'and the log stays short')
    },
  )

t.test(
  'a session with thousands of rooms, left by an earlier version, costs no more than one that is full',
  async (t) => {
    const { nodes, databaseUrl } = await startNodes(t, 1, { env: { MAX_ROOMS_PER_SOCKET: '100' } })
    const [{ url, log }] = nodes as [TestNode]
    await query(
      databaseUrl,
      `insert into session_room (pid, chapter_id, after_seq, node_id, left_at)
     select 'crowded', n, 0, gen_random_uuid(), now() from generate_series(1, 29400) n`,
    )
    const client = await connectSocket(t, url, { auth: { pid: 'crowded' } })
    t.equal(pidOf(client), 'crowded')
    await client.ask('refresh_token', {})
    const health = await fetch(`${url}/healthz`)
    t.equal(health.status, 200)
    await waitFor(
      'all rooms',
      () => client.heard.filter(({ name }) => name === 'joined_chapter').length === 100,
    )
    t.equal((await query(databaseUrl, 'select from session_room')).length, 100)
    t.ok(log.length < 100, `${log.length} lines of log`)
  },
)

t.test('a connection that was closed before it was admitted leaves no session behind', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 1, { env: { SESSION_TTL_MS: '1000' } })
  const [{ url }] = nodes as [TestNode]
  const chapterId = await createChapter(url)
  const client = await connectSocket(t, url)
  await client.ask('join_chapter', { chapter_id: chapterId })
  const pid = pidOf(client)
  client.socket.io.engine.close()
  client.socket.io.reconnection(false)
  for (let index = 0; index < 20; index++) {
    const raw = await openRawSocket(t, url)
    raw.socket.send(`40${JSON.stringify({ pid })}`)
    raw.socket.terminate()
  }
  await waitFor(
    'the session to end',
    async () => (await query(databaseUrl, 'select from session_room')).length === 0,
  )
})

t.test('a client that knows another user’s session id gets nothing of it, and changes nothing', async (t) => {
  const { nodes } = await startNodes(t, 2, { env: { JWT_SECRET } })
  await checkStrangers(
    t,
    nodes.map(({ url }) => url),
    nodes,
  )
})

t.test('a connection that ends after its client came back does not end the session', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2)
  const [one, two] = nodes as [TestNode, TestNode]
  for (const next of [one, two]) {
    const chapterId = await createChapter(one.url)
    const old = await connectSocket(t, one.url)
    await old.ask('join_chapter', { chapter_id: chapterId })
    const pid = pidOf(old)
    const back = await connectSocket(t, next.url, { auth: { pid } })
    await back.hears('joined_chapter')
    await old.ask('leave_chapter', { chapter_id: chapterId })
    old.socket.disconnect()
    const marker = await connectSocket(t, one.url)
    await marker.ask('join_chapter', { chapter_id: chapterId })
    marker.socket.disconnect()
    await waitFor('the connection to be gone', () => one.app.io.engine.clientsCount <= (next === one ? 1 : 0))
    await waitFor(
      'the marker to be forgotten',
      async () =>
        (await query(databaseUrl, `select from session_room where pid = '${pidOf(marker)}'`)).length === 0,
    )
    const rooms = await query(databaseUrl, `select left_at from session_room where pid = '${pid}'`)
    t.strictSame(
      rooms.map((row) => ({ ...(row as object) })),
      [{ left_at: null }],
    )
    back.socket.disconnect()
    await waitFor('it to be gone', () => one.app.io.engine.clientsCount === 0)
  }
})
