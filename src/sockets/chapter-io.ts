/**
 * The Socket.IO server and its sockets, typed with the contract's events.
 */
import type { Server, Socket } from 'socket.io'
import type { ClientToServerEvents, ServerToClientEvents } from '../contract/socket-events.js'

export type ChapterIo = Server<ClientToServerEvents, ServerToClientEvents>
export type ChapterSocket = Socket<ClientToServerEvents, ServerToClientEvents>

declare module 'fastify' {
  interface FastifyInstance {
    io: ChapterIo
  }
}
