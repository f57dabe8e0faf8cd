/**
 * The Socket.IO server: its options, its handlers, and how it lets go of its sockets. Everything that a client
 * sends is taken through one wrapper, so that no payload can throw into Socket.IO.
 */
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import fastifySocketIo from 'fastify-socket.io'
import type { Server, Socket } from 'socket.io'
import type { Config } from '../config.js'
import {
  type ClientToServerEvents,
  JoinChapter,
  LeaveChapter,
  type ServerToClientEvents,
} from '../contract/socket.js'
import { InvalidRequestError } from '../errors.js'
import { type Check, compileCheck } from '../validation.js'
import type { SocketAuth } from './auth.js'
import { type ChapterRooms, refusalOf } from './chapter-room.js'

export type ChapterIo = Server<ClientToServerEvents, ServerToClientEvents>
export type ChapterSocket = Socket<ClientToServerEvents, ServerToClientEvents>

declare module 'fastify' {
  interface FastifyInstance {
    io: ChapterIo
  }
}

/** What a client may have unread before its connection is cut; it comes back and is replayed. */
const MAX_UNSENT_BYTES = 1_048_576
const UNSENT_CHECK_MS = 1000
/** Connections are closed in batches, so that they do not all come back at once. */
const CLOSE_BATCH = 200
const CLOSE_PAUSE_MS = 20

export interface SocketIoOptions {
  config: Pick<Config, 'corsOrigin'>
  /** Whether new sessions are refused. */
  isDraining: () => boolean
}

/** Registers Socket.IO on the app’s HTTP server; `serveSockets` then says what its sockets can do. */
export const socketIo = fp<SocketIoOptions>(
  async (app, { config, isDraining }) => {
    await app.register(fastifySocketIo.default, {
      cors: { origin: config.corsOrigin === '*' ? '*' : [...config.corsOrigin] },
      // A refused handshake is tried again by clients; a refusing middleware would turn them away for good.
      allowRequest: (_request, callback) => callback(null, !isDraining()),
      perMessageDeflate: false,
      httpCompression: false,
      maxHttpBufferSize: 16_000,
      // Its own way tells clients to stay away; ours is `closeSockets`.
      preClose: (done) => done(),
    })
  },
  { name: 'socket-io' },
)

export function serveSockets(app: FastifyInstance, rooms: ChapterRooms, auth: SocketAuth): void {
  const checkJoin = compileCheck(JoinChapter, 'payload')
  const checkLeave = compileCheck(LeaveChapter, 'payload')

  app.io.on('connection', (socket) => {
    socket.emit('connection_established', { status: 'connected' })
    socket.on('disconnect', () => rooms.leaveAll(socket))

    handle(socket, 'join_chapter', checkJoin, async ({ chapter_id, after_seq = 0 }: JoinChapter) =>
      rooms.join(socket, chapter_id, after_seq),
    )
    handle(socket, 'leave_chapter', checkLeave, async ({ chapter_id }: LeaveChapter) => {
      await rooms.leave(socket, chapter_id)
      return { chapter_id }
    })
    handle(
      socket,
      'refresh_token',
      // A token that is none is refused as one, and matters to nobody while clients need no token.
      () => [],
      async (payload: { token?: unknown } | null | undefined) => {
        await auth.refresh(socket, payload?.token)
        rooms.leaveForbidden(socket)
        return {}
      },
    )
  })

  /** One wrapper for every handler: the ack is a function or nothing, a refusal is an answer. */
  function handle<Payload>(
    socket: ChapterSocket,
    name: keyof ClientToServerEvents,
    check: Check,
    run: (payload: Payload) => Promise<object>,
  ): void {
    const listen = socket.on as (name: string, listener: (...args: unknown[]) => void) => void
    listen.call(socket, name, (...args) => {
      const last = args.at(-1)
      const ack = typeof last === 'function' ? last : undefined
      const payload = typeof args[0] === 'function' ? undefined : args[0]
      answer(payload).then(
        (reply) => ack?.(reply),
        (error: unknown) => app.log.error({ err: error, event: name }, 'a socket handler failed'),
      )
    })

    async function answer(payload: unknown): Promise<object> {
      try {
        const violations = check(payload)
        if (violations.length > 0) throw new InvalidRequestError(violations)
        return { ok: true, ...(await run(payload as Payload)) }
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal.code === 'internal') app.log.error({ err: error, event: name }, 'a socket handler failed')
        if (name === 'join_chapter')
          socket.emit('join_failed', { chapter_id: chapterIdOf(payload), ...refusal })
        return { ok: false, ...refusal }
      }
    }
  }
}

/** Cuts connections of clients that stopped reading: what waits for them is kept in memory. */
export function watchUnsent(io: ChapterIo): () => void {
  const timer = setInterval(() => {
    for (const { conn } of io.sockets.sockets.values()) {
      const { websocket, unsentBytes } = transportOf(conn)
      if (unsentBytes <= MAX_UNSENT_BYTES) continue
      if (websocket === undefined) conn.close(true)
      else websocket.terminate()
    }
  }, UNSENT_CHECK_MS)
  return () => clearInterval(timer)
}

/**
 * Closes every connection so that its client comes back by itself, to a node that still takes sessions.
 * @param deadlineMs sockets still open by then are destroyed: a client that stopped reading would hold us
 */
export async function closeSockets(io: ChapterIo, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs
  const sockets = [...io.sockets.sockets.values()]
  for (let start = 0; start < sockets.length; start += CLOSE_BATCH) {
    for (const { conn } of sockets.slice(start, start + CLOSE_BATCH)) conn.close()
    if (start + CLOSE_BATCH < sockets.length)
      await new Promise((resolve) => setTimeout(resolve, CLOSE_PAUSE_MS * (0.5 + Math.random())))
  }
  while (io.engine.clientsCount > 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 10))
  for (const { conn } of io.sockets.sockets.values()) transportOf(conn).websocket?.terminate()
}

interface Websocket {
  bufferedAmount: number
  terminate(): void
}

/** What Engine.IO does not type: the websocket of a connection, and how much waits to be sent. */
function transportOf(conn: ChapterSocket['conn']): { websocket: Websocket | undefined; unsentBytes: number } {
  const { writeBuffer, transport } = conn as unknown as {
    writeBuffer: { data?: unknown }[]
    transport: { name: string; socket?: Websocket }
  }
  const websocket = transport.name === 'websocket' ? transport.socket : undefined
  const waiting = writeBuffer.reduce((sum, { data }) => sum + (typeof data === 'string' ? data.length : 0), 0)
  return { websocket, unsentBytes: waiting + (websocket?.bufferedAmount ?? 0) }
}

function chapterIdOf(payload: unknown): number | null {
  const id = (payload as { chapter_id?: unknown } | null | undefined)?.chapter_id
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : null
}
