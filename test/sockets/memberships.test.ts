import t from 'tap'
import type { ChapterSocket } from '../../src/sockets/chapter-io.js'
import { createMemberships } from '../../src/sockets/memberships.js'

interface Inside {
  share: { close(): void }
}
const share = { close() {} }
const socketOf = () => ({}) as ChapterSocket

t.test('a connection’s rooms are counted as joins and leaves are asked for', async (t) => {
  const memberships = createMemberships<Inside>()
  const socket = socketOf()
  const join = (id: number) =>
    memberships.inOrder(socket, id, true, async (membership) => {
      membership.inside = { share }
    })
  const leave = (id: number) =>
    memberships.inOrder(socket, id, false, async () => memberships.exit(socket, id))

  const asked = [join(1), join(2), join(1), leave(2)]
  t.equal(memberships.count(socket), 1, 'before any of it is done')
  await Promise.all(asked)
  t.equal(memberships.count(socket), 1)
  t.same([...memberships.of(socket).keys()], [1])

  const refused = memberships.inOrder(socket, 3, true, async () => {
    throw new Error('no')
  })
  t.equal(memberships.count(socket), 2)
  await t.rejects(refused)
  t.equal(memberships.count(socket), 1, 'one that is refused takes no room')

  await Promise.all([leave(1), join(1), leave(1)])
  t.equal(memberships.count(socket), 0)
  memberships.exit(socket, 1)
  t.equal(memberships.count(socket), 0, 'an exit may come twice')
})

t.test('an exit while a join waits counts once', async (t) => {
  const memberships = createMemberships<Inside>()
  const socket = socketOf()
  await memberships.inOrder(socket, 1, true, async (membership) => {
    membership.inside = { share }
  })
  const again = memberships.inOrder(socket, 1, true, async () => {})
  memberships.exit(socket, 1)
  t.equal(memberships.count(socket), 1, 'the join is still to come')
  await again
  t.equal(memberships.count(socket), 0)
})

t.test('a connection that has gone holds nothing, whatever was under way', async (t) => {
  const memberships = createMemberships<Inside>()
  const socket = socketOf()
  const joins = Array.from({ length: 10 }, (_, id) => memberships.inOrder(socket, id, true, async () => {}))
  memberships.leaveAll(socket)
  await Promise.all(joins)
  t.equal(memberships.count(socket), 0)
  t.equal(memberships.of(socket).size, 0)
})
