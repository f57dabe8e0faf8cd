/**
 * The server’s TCP connections, so that none holds a node that leaves: a browser’s spare connection, half a
 * request, a client that stopped reading.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

export interface Connections {
  /** Ends every connection on which no request is being answered. */
  destroyIdle(): void
  destroyAll(): void
}

export function trackConnections(app: FastifyInstance): Connections {
  /** How many requests each is being answered. */
  const open = new Map<Socket, number>()
  const count = (socket: Socket, by: 1 | -1) => {
    const requests = open.get(socket)
    if (requests !== undefined) open.set(socket, requests + by)
  }
  app.server.on('connection', (socket: Socket) => {
    open.set(socket, 0)
    socket.on('close', () => open.delete(socket))
  })
  // From when the whole request is here: half a request may never become one.
  const answering = new WeakSet<IncomingMessage>()
  app.addHook('preValidation', async ({ raw }) => {
    answering.add(raw)
    count(raw.socket, 1)
  })
  app.addHook('onResponse', async ({ raw }) => {
    if (answering.delete(raw)) count(raw.socket, -1)
  })

  return {
    destroyIdle() {
      for (const [socket, requests] of open) if (requests === 0) socket.destroy()
    },
    destroyAll() {
      for (const socket of open.keys()) socket.destroy()
    },
  }
}
