/**
 * What holds of one session id (`pid`), whoever sends it and wherever its connections come in: straight at the nodes
 * or through a load balancer. `doors` are the addresses that clients take in turn.
 */
import type { ManagerOptions, SocketOptions } from 'socket.io-client'
import type { Test } from 'tap'
import { bearer, signToken } from '../auth/tokens.js'
import { connectSocket, post, type RecordingSocket } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import type { TestNode } from '../support/three-nodes.js'
import { query } from '../support/watch.js'

export interface ManyConnections {
  doors: readonly string[]
  databaseUrl: string
  /** MAX_ROOMS_PER_SOCKET of the nodes. */
  maxRooms: number
  nodes: readonly TestNode[]
}

/** Ten connections of one session join as many rooms as each may: the session holds no more than one of them. */
export async function checkManyConnections(t: Test, given: ManyConnections): Promise<void> {
  const { doors, databaseUrl, maxRooms, nodes } = given
  const connect = (index: number, options = {}) =>
    connectSocket(t, doors[index % doors.length] as string, options)
  const first = await connect(0)
  await joinAll(first, 1, 1)
  const pid = pidOf(first)
  const others: RecordingSocket[] = []
  for (let index = 0; index < 10; index++) {
    const client = await connect(index, { auth: { pid } })
    t.equal(pidOf(client), pid)
    others.push(client)
  }
  t.equal(new Set(others.map((client) => nodeOf(client, nodes))).size, nodes.length, 'on every node')
  // All at once, each as many rooms as a connection may have.
  await Promise.all(others.map((client, index) => joinAll(client, 1000 * (index + 1), maxRooms)))
  const rooms = await query<{ count: string }>(databaseUrl, 'select count(*) from session_room')
  t.ok(Number(rooms[0]?.count) <= maxRooms, `${rooms[0]?.count} rooms are remembered`)

  const last = await connect(1, { auth: { pid } })
  const joined = () => last.heard.filter(({ name }) => name === 'joined_chapter').length
  await waitFor('it is back in its rooms', () => joined() >= maxRooms)
  await last.ask('refresh_token', {})
  t.equal(joined(), maxRooms)
}

/** Strangers with somebody’s session id, on the owner’s node and on others: the owner keeps the session and its rooms. */
export async function checkStrangers(
  t: Test,
  doors: readonly string[],
  nodes: readonly TestNode[],
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<void> {
  const [first, last] = [doors.at(0) as string, doors.at(-1) as string]
  const owners: [owner: Record<string, unknown>, other: Record<string, unknown>][] = [
    [{ sub: '1' }, { sub: '2' }],
    [{ sub: '1' }, { role: 'admin' }],
    [{ courses: [1] }, { courses: [2] }],
  ]
  for (const [ownerClaims, otherClaims] of owners) {
    const title = `${JSON.stringify(ownerClaims)}, ${JSON.stringify(otherClaims)}`
    const token = await signToken(ownerClaims)
    const other = await signToken(otherClaims)
    const chapterId = await createOwned(first)
    const owner = await connectSocket(t, first, { ...options, auth: { token } })
    t.match(await owner.ask('join_chapter', { chapter_id: chapterId }), { ok: true }, title)
    const pid = pidOf(owner)
    const strangers: RecordingSocket[] = []
    for (const url of doors) {
      const stranger = await connectSocket(t, url, { ...options, auth: { token: other, pid } })
      strangers.push(stranger)
      t.not(pidOf(stranger), pid, title)
      await stranger.ask('join_chapter', { chapter_id: 404_404 })
      await stranger.ask('leave_chapter', { chapter_id: chapterId })
      t.strictSame(
        stranger.heard
          .filter(({ name }) => /^(joined|join_failed)/.test(name))
          .map(({ payload }) => payload.chapter_id),
        [404_404],
        title,
      )
    }
    const home = nodeOf(owner, nodes)
    t.ok(
      strangers.some((stranger) => nodeOf(stranger, nodes) !== home),
      'one of them is on another node',
    )
    for (const { socket } of strangers) socket.disconnect()
    await waitFor('strangers to be gone', () => nodes.every(({ app }) => app.io.engine.clientsCount <= 1))
    // On another node, and also while the first connection is still open: as after a change of network.
    const back = await connectSocket(t, last, { ...options, auth: { token, pid } })
    t.not(nodeOf(back, nodes), home)
    t.match(await back.hears('joined_chapter'), { chapter_id: chapterId, status: 'processing' }, title)
    t.equal(pidOf(back), pid, title)
    for (const { socket } of [owner, back]) socket.disconnect()
    await waitFor('both to be gone', () => nodes.every(({ app }) => app.io.engine.clientsCount === 0))
  }
}

/** As the client keeps it to return it when it next connects. */
export function pidOf({ socket }: RecordingSocket): string {
  return (socket as unknown as { _pid: string })._pid
}

function nodeOf({ socket }: RecordingSocket, nodes: readonly TestNode[]): number {
  return nodes.findIndex(({ app }) => app.io.sockets.sockets.has(socket.id as string))
}

async function joinAll(client: RecordingSocket, from: number, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) => client.ask('join_chapter', { chapter_id: from + index })),
  )
}

async function createOwned(url: string): Promise<number> {
  const fields = { course_id: 1, owner_id: 1, title: 'Owned' }
  return (await post(`${url}/v1/chapter/`, fields, bearer(await signToken({ sub: '1' })))).body.chapter_id
}
