/**
 * One session id (`pid`) on many connections and in strange hands, through the load balancer, on three nodes.
 */
import t, { type Test } from 'tap'
import { JWT_SECRET } from '../auth/tokens.js'
import { checkManyConnections, checkStrangers } from '../sockets/one-session.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { startNodes } from '../support/three-nodes.js'

const MAX_ROOMS = 20

const program = await findHaproxy()
if (program === undefined) t.fail('HAProxy is needed: apt-get install haproxy')
else {
  const balanced = async (t: Test, env: Record<string, string>) => {
    const { nodes, databaseUrl } = await startNodes(t, 3, { env })
    const ports = nodes.map(({ port }) => port)
    return { nodes, databaseUrl, url: (await startHaproxy(t, program, ports)).url }
  }

  t.test(
    `behind the load balancer too one session id on many connections has ${MAX_ROOMS} rooms at most`,
    async (t) => {
      const { nodes, databaseUrl, url } = await balanced(t, { MAX_ROOMS_PER_SOCKET: String(MAX_ROOMS) })
      await checkManyConnections(t, { doors: [url], databaseUrl, maxRooms: MAX_ROOMS, nodes })
    },
  )

  t.test(
    'behind the load balancer too another user’s session id gives nothing, and changes nothing',
    async (t) => {
      const { nodes, url } = await balanced(t, { JWT_SECRET })
      // A websocket goes to the node with the fewest, so each of these is on another one.
      await checkStrangers(t, [url, url, url], nodes, { transports: ['websocket'] })
    },
  )
}
