import type { io } from 'socket.io-client'
import t from 'tap'
import { connectSocket, createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { frontOf, startNodes, type TestNode } from '../support/three-nodes.js'
import { query } from '../support/watch.js'

const LONG = { timeoutMs: 60_000, everyMs: 20 }

t.test('a session whose node is silent for longer than its time is not taken up', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2, { env: { SESSION_TTL_MS: '1000' } })
  const [one, two] = nodes as [TestNode, TestNode]
  const chapterId = await createChapter(two.url)
  const client = await connectSocket(t, one.url)
  await client.ask('join_chapter', { chapter_id: chapterId })
  const pid = pidOf(client)
  await one.stop()
  await waitFor('the session to be too old', async () => (await roomsOf(databaseUrl, pid)).length === 0, LONG)
  const late = await connectSocket(t, two.url, { auth: { pid } })
  t.not(pidOf(late), pid, 'it is a new session')
  await late.ask('leave_chapter', { chapter_id: chapterId })
  t.strictSame(late.logged(), [])
})

t.test('a client that says goodbye is forgotten, also when it did so while joining', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2)
  const [one, two] = nodes as [TestNode, TestNode]
  const chapterId = await createChapter(one.url)
  const client = await connectSocket(t, one.url)
  await client.ask('join_chapter', { chapter_id: chapterId })
  const pid = pidOf(client)
  t.equal((await roomsOf(databaseUrl, pid)).length, 1)
  client.socket.disconnect()
  await waitFor('the session to be forgotten', async () => (await roomsOf(databaseUrl, pid)).length === 0)
  const again = await connectSocket(t, two.url, { auth: { pid } })
  t.not(pidOf(again), pid)

  const hasty = await Promise.all(Array.from({ length: 20 }, () => connectSocket(t, one.url)))
  const pids = hasty.map(pidOf)
  for (const { socket } of hasty) {
    socket.emit('join_chapter', { chapter_id: chapterId })
    socket.disconnect()
  }
  await waitFor('their connections to end', () => one.app.io.engine.clientsCount === 0)
  await waitFor('all to be forgotten', async () =>
    (await Promise.all(pids.map((pid) => roomsOf(databaseUrl, pid)))).every(({ length }) => length === 0),
  )
})

t.test('a room that was left is not entered again, and the others are', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 2)
  const [one, two] = nodes as [TestNode, TestNode]
  const front = await frontOf(t, one)
  const [kept, left] = (await Promise.all([createChapter(one.url), createChapter(one.url)])) as [
    number,
    number,
  ]
  const client = await connectSocket(t, front.url)
  for (const chapter_id of [kept, left]) await client.ask('join_chapter', { chapter_id })
  await client.ask('leave_chapter', { chapter_id: left })
  const pid = pidOf(client)
  await waitFor('the room to be forgotten', async () => (await roomsOf(databaseUrl, pid)).length === 1)
  client.heard.length = 0
  front.leadTo(two)
  client.socket.io.engine.close()
  await client.hears('joined_chapter')
  t.equal(pidOf(client), pid, 'the same session')
  for (const chapterId of [left, kept]) await finish(two.url, chapterId, 'concept')
  await client.hears('concept_completed')
  t.strictSame(client.logged(left), [])
  t.equal(client.logged(kept).at(-1), 'concept_completed')
})

t.test('a forged or unknown session id gives a new session, and nobody else’s rooms', async (t) => {
  const { nodes } = await startNodes(t, 1)
  const [{ url }] = nodes as [TestNode]
  const chapterId = await createChapter(url)
  const victim = await connectSocket(t, url)
  await victim.ask('join_chapter', { chapter_id: chapterId })
  const forged = [
    'unknown',
    '',
    '%',
    "' or true --",
    'x'.repeat(5000),
    5,
    null,
    {},
    [pidOf(victim)],
    true,
    '\\u0000',
  ]
  for (const pid of forged) {
    const client = await connectSocket(t, url, { auth: { pid } as Record<string, unknown> })
    t.match(pidOf(client), /^[\w-]{20}$/, String(pid).slice(0, 20))
    t.not(pidOf(client), pid)
    await client.ask('leave_chapter', { chapter_id: chapterId })
    t.strictSame(client.logged(), [])
    client.socket.disconnect()
  }
})

t.test('a client that resumes by itself gets no session', async (t) => {
  const { nodes, databaseUrl } = await startNodes(t, 1)
  const [{ url }] = nodes as [TestNode]
  const chapterId = await createChapter(url)
  const client = await connectSocket(t, url, { auth: { resume: false } })
  await client.ask('join_chapter', { chapter_id: chapterId })
  t.equal(pidOf(client), undefined)
  t.strictSame(await query(databaseUrl, 'select 1 from session_room'), [])
})

t.test('the database away longer than sessions last: whoever was connected is known after it', async (t) => {
  let passedMs = 0
  const { nodes, databaseUrl } = await startNodes(t, 2, {
    proxies: true,
    overrides: { now: () => Date.now() + passedMs },
  })
  const [one, two] = nodes as [TestNode, TestNode]
  const chapterId = await createChapter(one.url)
  const client = await connectSocket(t, one.url)
  await client.ask('join_chapter', { chapter_id: chapterId })
  const pid = pidOf(client)
  for (const { postgres } of nodes) postgres.cut()
  passedMs = 10 * 120_000
  two.postgres.resume()
  await waitFor(
    'the other node to be back',
    async () => (await post(`${two.url}/v1/chapter/1/cancel`)).status !== 503,
  )
  const back = await connectSocket(t, two.url, { auth: { pid } })
  await back.hears('joined_chapter')
  t.equal(pidOf(back), pid)
  t.equal((await roomsOf(databaseUrl, pid)).length, 1)
})

/** As the client keeps it to return it when it next connects. */
function pidOf({ socket }: { socket: ReturnType<typeof io> }): string {
  return (socket as unknown as { _pid: string })._pid
}

function roomsOf(databaseUrl: string, pid: string): Promise<unknown[]> {
  return query(databaseUrl, `select 1 from session_room where pid = '${pid}'`)
}
