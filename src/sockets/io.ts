/**
 * The Socket.IO server: its options, its handlers, and how it lets go of its sockets. Everything that a client
 * sends is taken through one wrapper, so that no payload can throw into Socket.IO.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import fastifySocketIo from 'fastify-socket.io'
import type { Server, Socket } from 'socket.io'
import { type ServerOptions, WebSocketServer } from 'ws'
import type { Config } from '../config/config.js'
import {
  type ClientToServerEvents,
  JoinChapter,
  LeaveChapter,
  type ServerToClientEvents,
} from '../contract/socket.js'
import { type Check, compileCheck } from '../contract/validation.js'
import { InvalidRequestError } from '../errors.js'
import type { SocketAuth } from './auth.js'
import { piecesTaken, sendInPieces } from './pieces.js'
import { type ChapterRooms, refusalOf } from './rooms.js'
import type { Sessions } from './sessions.js'

export type ChapterIo = Server<ClientToServerEvents, ServerToClientEvents>
export type ChapterSocket = Socket<ClientToServerEvents, ServerToClientEvents>

declare module 'fastify' {
  interface FastifyInstance {
    io: ChapterIo
  }
}

/** A client that has more unread than that must go on reading, or its connection is cut; it comes back and is replayed. */
const MAX_UNSENT_BYTES = 1_048_576
/** What all clients together may have unread; beyond it those with the most are cut. */
const MAX_UNSENT_TOTAL_BYTES = 256 * 1_048_576
const UNSENT_CHECK_MS = 1000
/** How often in a row a client may be seen to have taken nothing. */
const MAX_STALLS = 6
/** Connections are closed in batches, so that they do not all come back at once. */
const CLOSE_BATCH = 50
const CLOSE_BATCHES = 20
const CLOSE_PAUSE_MS = 100
/** Rooms that one line of the log names. */
const MAX_LOGGED_ROOMS = 5
/** How long a client that was told to leave is listened to: a way there and back. */
const LAST_WORDS_MS = 500

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
      wsEngine: FairWebSocketServer,
      // Its own way tells clients to stay away; ours is `closeSockets`.
      preClose: (done) => done(),
    })
    tellSessionIds(app.io)
    sendInPieces(app.io)
    takeGoodbyes(app.io)
  },
  { name: 'socket-io' },
)

/** One message of a connection a turn of the event loop: a thousand that came at once let others in between. */
class FairWebSocketServer extends WebSocketServer {
  constructor(options: ServerOptions) {
    super({ ...options, allowSynchronousEvents: false })
  }
}

/** What a load balancer needs to send each of a session’s requests to its node: clients send cookies hardly ever. */
export const SESSION_ID_HEADER = 'x-socket-sid'

function tellSessionIds(io: ChapterIo): void {
  const sids = new WeakMap<IncomingMessage, string>()
  const engine = io.engine as unknown as { generateId: (request: IncomingMessage) => string }
  engine.generateId = (request) => {
    const sid = randomBytes(15).toString('base64url')
    sids.set(request, sid)
    return sid
  }
  io.engine.on('initial_headers', (headers: Record<string, string>, request: IncomingMessage) => {
    const sid = sids.get(request)
    if (sid !== undefined) headers[SESSION_ID_HEADER] = sid
  })
}

/** Engine.IO v4 lets a client close its session with a packet; Engine.IO itself takes that over long-polling only. */
function takeGoodbyes(io: ChapterIo): void {
  io.engine.on('connection', (conn: EngineSocket) => {
    conn.on('packet', ({ type }) => {
      if (type === 'close') conn.close(true)
    })
  })
}

export interface SocketParts {
  rooms: ChapterRooms
  auth: SocketAuth
  sessions: Sessions
}

export function serveSockets(app: FastifyInstance, { rooms, auth, sessions }: SocketParts): void {
  const checkJoin = compileCheck(JoinChapter, 'payload')
  const checkLeave = compileCheck(LeaveChapter, 'payload')

  app.io.use((socket, next) => {
    // Closed while its token was checked: it has no identity, and Socket.IO forgets it.
    if (socket.conn.readyState !== 'open') return next()
    sessions.begin(socket, auth.identityOf(socket)).then(
      () => next(),
      (error: unknown) => {
        // Refused, a client would stay away, and with a new session it would lose its rooms: it shall come again.
        app.log.warn({ err: error }, 'a session could not be looked up; its client comes back')
        socket.conn.close()
      },
    )
  })

  app.io.on('connection', (socket) => {
    socket.emit('connection_established', { status: 'connected' })
    socket.on('disconnect', (reason) => {
      rooms.leaveAll(socket)
      // A client whose token ended comes back with a new one; only one that says goodbye is gone.
      sessions.end(socket, reason === 'client namespace disconnect')
    })
    rejoin(socket).catch((error: unknown) =>
      app.log.error({ err: error }, 'rooms could not be entered again'),
    )

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

  /** The rooms of a session that comes back. What was refused is logged in one line, however many rooms there are. */
  async function rejoin(socket: ChapterSocket): Promise<void> {
    const refused: { chapter_id: number; code: string }[] = []
    await Promise.all(
      sessions.roomsOf(socket).map(async ({ chapterId, afterSeq }) => {
        try {
          await rooms.rejoin(socket, chapterId, afterSeq)
        } catch (error) {
          const { code } = refusalOf(error)
          if (code === 'internal')
            app.log.error({ err: error, chapter_id: chapterId }, 'a room could not be entered again')
          refused.push({ chapter_id: chapterId, code })
          // Its client does not ask for the room and would stay outside without knowing; it shall come again.
          if (code === 'unavailable') socket.conn.close()
        }
      }),
    )
    if (refused.length > 0)
      app.log.info(
        { count: refused.length, rooms: refused.slice(0, MAX_LOGGED_ROOMS) },
        'rooms of a session were not entered again',
      )
  }

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

/**
 * Cuts connections of clients that stopped reading: what waits for them is kept in memory. Who reads slowly, but goes
 * on reading, gets everything.
 */
export function watchUnsent(io: ChapterIo): () => void {
  const seen = new WeakMap<ChapterSocket['conn'], { taken: number; stalls: number }>()
  const timer = setInterval(() => {
    const behind: { conn: ChapterSocket['conn']; unsentBytes: number }[] = []
    let totalBytes = 0
    for (const { conn } of io.sockets.sockets.values()) {
      const { unsentBytes } = transportOf(conn)
      if (unsentBytes <= MAX_UNSENT_BYTES) {
        seen.delete(conn)
        continue
      }
      const taken = piecesTaken(conn)
      const before = seen.get(conn)
      const stalls = before?.taken === taken ? before.stalls + 1 : 0
      seen.set(conn, { taken, stalls })
      if (stalls >= MAX_STALLS) {
        cut(conn)
        continue
      }
      totalBytes += unsentBytes
      behind.push({ conn, unsentBytes })
    }
    behind.sort((a, b) => b.unsentBytes - a.unsentBytes)
    for (const { conn, unsentBytes } of behind) {
      if (totalBytes <= MAX_UNSENT_TOTAL_BYTES) break
      totalBytes -= unsentBytes
      cut(conn)
    }
  }, UNSENT_CHECK_MS)
  return () => clearInterval(timer)
}

function cut(conn: ChapterSocket['conn']): void {
  const { websocket } = transportOf(conn)
  if (websocket === undefined) conn.close(true)
  else websocket.terminate()
}

/**
 * Closes every session so that its client comes back by itself, to a node that still takes sessions; in batches,
 * so that not all come at once.
 *
 * 1. Clients are told, and what they say until they know it is taken like anything else: a join that was on its way
 *    is remembered with its session, and a plain client would not say it again.
 * 2. Who has not gone in time is closed.
 *
 * @param deadlineMs resolves by then, with those left open whose clients do not read
 */
export async function closeSockets(io: ChapterIo, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs
  const clients = Object.values((io.engine as unknown as { clients: Record<string, EngineSocket> }).clients)
  const allGone = async (until: number) => {
    while (io.engine.clientsCount > 0 && performance.now() < until) await delay(10)
  }
  const size = Math.max(CLOSE_BATCH, Math.ceil(clients.length / CLOSE_BATCHES))
  const pauseMs = Math.min(CLOSE_PAUSE_MS, deadlineMs / (2 * CLOSE_BATCHES))
  for (let start = 0; start < clients.length; start += size) {
    if (start > 0) await delay(pauseMs * (0.5 + Math.random()))
    for (const client of clients.slice(start, start + size)) tellToLeave(client)
  }
  await allGone(Math.min(deadline, performance.now() + LAST_WORDS_MS))
  for (const client of clients) client.close(isTold(client))
  await allGone(deadline)
}

/** `client.close()` would at once be deaf to it. */
function tellToLeave(client: EngineSocket): void {
  const { transport, writeBuffer } = client
  if (transport.name !== 'websocket') {
    client.sendPacket('close')
  } else if (writeBuffer.length > 0) {
    client.once('drain', () => tellToLeave(client))
  } else {
    // Events go on in the client’s rooms; on a websocket that is closing they would be an error.
    transport.send = () => {}
    transport.socket?.close()
    // Until the stream ends a client that knows already would go on speaking, into nothing.
    transport.socket?._socket.end()
  }
}

function isTold({ writeBuffer }: EngineSocket): boolean {
  return writeBuffer.every(({ type }) => type !== 'close')
}

/** What Engine.IO does not type. */
interface EngineSocket {
  writeBuffer: { type?: string; data?: unknown }[]
  transport: { name: string; socket?: Websocket; send: (packets: object[]) => void }
  sendPacket(type: 'close'): void
  once(name: 'drain', listener: () => void): void
  on(name: 'packet', listener: (packet: { type: string }) => void): void
  /** @param isForced does not wait for the client to take it in */
  close(isForced: boolean): void
}

interface Websocket {
  bufferedAmount: number
  close(): void
  terminate(): void
  _socket: { end(): void }
}

/** The websocket of a connection, and how much waits to be sent. */
function transportOf(conn: ChapterSocket['conn']): { websocket: Websocket | undefined; unsentBytes: number } {
  const { writeBuffer, transport } = conn as unknown as EngineSocket
  const websocket = transport.name === 'websocket' ? transport.socket : undefined
  const waiting = writeBuffer.reduce((sum, { data }) => sum + (typeof data === 'string' ? data.length : 0), 0)
  return { websocket, unsentBytes: waiting + (websocket?.bufferedAmount ?? 0) }
}

function chapterIdOf(payload: unknown): number | null {
  const id = (payload as { chapter_id?: unknown } | null | undefined)?.chapter_id
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : null
}
