/**
 * An `UnrulyServer` behind a real Socket.IO server and real HTTP. Connections are closed, let go silent, or not
 * let in.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { Server, type Socket } from 'socket.io'
import type { Test } from 'tap'
import { type Random, seeded } from '../support/random.js'
import type { Peer, UnrulyServer } from './unruly-server.js'

export interface RealWire {
  readonly url: string
  /** Connections that are open now. */
  readonly openCount: number
  /** The chance that a connection is not made, or not let in. */
  refuse: number
  /** Something happens to connections: to all of them, or to one in so many. */
  disturb(how: 'close' | 'disconnect' | 'silence', share?: number): void
}

export async function listen(t: Test, server: UnrulyServer, random: Random = seeded(1)): Promise<RealWire> {
  const web = createServer((request, response) => {
    server.fetch(`http://localhost${request.url}`).then(
      async (answer) => {
        response.writeHead(answer.status, Object.fromEntries(answer.headers))
        response.end(JSON.stringify(await answer.json()))
      },
      () => response.destroy(),
    )
  })
  const wire = { refuse: 0 }
  const io = new Server(web, {
    // A session of long-polling that ended keeps the process for half a minute.
    transports: ['websocket'],
    pingInterval: 700,
    pingTimeout: 700,
    allowRequest: (_request, decide) => decide(null, !random.chance(wire.refuse)),
  })
  io.use((_socket, next) => {
    if (!random.chance(wire.refuse)) return next()
    next(Object.assign(new Error('not now'), { data: { code: 'unavailable', message: 'not now' } }))
  })
  io.on('connection', (socket) => {
    const peer = peerOf(socket)
    server.connected(peer)
    socket.onAny((name: string, payload: unknown, ack?: (answer: object) => void) =>
      server.hears(peer, name, payload, (answer) => ack?.(answer)),
    )
    socket.on('disconnect', () => server.disconnected(peer))
  })
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  // A websocket that was silenced would wait for the other end’s goodbye.
  const lines = new Set<Duplex>()
  web.on('connection', (line) => lines.add(line))
  t.teardown(async () => {
    const closed = io.close()
    for (const line of lines) line.destroy()
    await closed
  })
  return Object.assign(wire, {
    url: `http://127.0.0.1:${(web.address() as AddressInfo).port}`,
    get openCount() {
      return io.engine.clientsCount
    },
    disturb(how: 'close' | 'disconnect' | 'silence', share = 1) {
      for (const socket of io.sockets.sockets.values()) {
        if (!random.chance(share)) continue
        if (how === 'close') socket.conn.close()
        if (how === 'disconnect') socket.disconnect(true)
        if (how === 'silence') silence(socket)
      }
    },
  })
}

function peerOf(socket: Socket): Peer {
  return {
    client: String((socket.handshake.auth as { token?: unknown }).token),
    get isOpen() {
      return socket.connected
    },
    get isHeard() {
      return socket.connected
    },
    emit: (name, payload) => void socket.emit(name, payload),
  }
}

/** It is open as before, and nothing leaves it any more. */
function silence(socket: Socket): void {
  const { transport } = socket.conn as unknown as { transport: { send: (packets: unknown) => void } }
  transport.send = () => {}
}
