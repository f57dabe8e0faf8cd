/**
 * The Socket.IO server: its options, its handlers, and how it lets go of its sockets. Everything that a client
 * sends is taken through one wrapper, so that no payload can throw into Socket.IO.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import fastifySocketIo from 'fastify-socket.io'
import { type ServerOptions, WebSocketServer } from 'ws'
import type { Config } from '../config/config.js'
import { JoinCourse, LeaveCourse } from '../contract/course.js'
import { JoinChapter, LeaveChapter } from '../contract/socket.js'
import type { ClientToServerEvents } from '../contract/socket-events.js'
import { type Check, compileCheck } from '../contract/validation.js'
import { InvalidRequestError } from '../errors.js'
import type { SocketAuth } from './auth.js'
import type { ChapterIo, ChapterSocket } from './chapter-io.js'
import { closeSockets } from './closing.js'
import type { CourseRooms } from './course-rooms.js'
import type { EngineSocket } from './engine.js'
import { sendInPieces } from './pieces.js'
import { type ChapterRooms, refusalOf } from './rooms.js'
import type { Sessions } from './sessions.js'
import { type SlowReaders, watchSlowConsumers } from './slow-consumers.js'

/** Rooms that one line of the log names. */
const MAX_LOGGED_ROOMS = 5

export interface SocketIoOptions {
  config: Pick<Config, 'corsOrigin' | 'socketTransports'>
  /** Whether new sessions are refused. */
  isClosing: () => boolean
  /** How long sockets may take to close, ms. */
  closeMs: number
}

/** Registers Socket.IO on the app’s HTTP server; `serveSockets` then says what its sockets can do. */
export const socketIo = fp<SocketIoOptions>(
  async (app, { config, isClosing, closeMs }) => {
    await app.register(fastifySocketIo.default, {
      cors: { origin: config.corsOrigin === '*' ? '*' : [...config.corsOrigin] },
      // A refused handshake is tried again by clients; a refusing middleware would turn them away for good.
      allowRequest: (_request, callback) => callback(null, !isClosing()),
      ...(config.socketTransports === 'websocket' ? { transports: ['websocket' as const] } : {}),
      perMessageDeflate: false,
      httpCompression: false,
      maxHttpBufferSize: 16_000,
      wsEngine: FairWebSocketServer,
      // Its own `preClose` makes clients stay away; `closeSockets` is used instead.
      preClose: (done) => done(),
    })
    tellSessionIds(app.io)
    sendInPieces(app.io)
    takeGoodbyes(app.io)
    app.addHook('preClose', () => closeSockets(app.io, closeMs))
  },
  { name: 'socket-io' },
)

/**
 * Handles one message of a connection in each turn of the event loop, so that a thousand at once do not block others.
 */
class FairWebSocketServer extends WebSocketServer {
  constructor(options: ServerOptions) {
    super({ ...options, allowSynchronousEvents: false })
  }
}

/** Lets a load balancer send all requests of a session to one node. Most clients send no cookies. */
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
  // Answers are for one client: they must not be cached or read as another content type.
  io.engine.on('headers', (headers: Record<string, string>) => {
    headers['x-content-type-options'] = 'nosniff'
    headers['cache-control'] = 'no-store'
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
  courses: CourseRooms
  auth: SocketAuth
  sessions: Sessions
  connections: SlowReaders
}

export function serveSockets(app: FastifyInstance, parts: SocketParts): void {
  const { rooms, courses, auth, sessions, connections } = parts
  const stopWatching = watchSlowConsumers(app.io, connections)
  app.addHook('preClose', async () => stopWatching())

  const checkJoin = compileCheck(JoinChapter, 'payload')
  const checkLeave = compileCheck(LeaveChapter, 'payload')
  const checkJoinCourse = compileCheck(JoinCourse, 'payload')
  const checkLeaveCourse = compileCheck(LeaveCourse, 'payload')

  app.io.use((socket, next) => {
    // Closed while its token was checked: it has no identity, and Socket.IO forgets it.
    if (socket.conn.readyState !== 'open') return next()
    sessions.begin(socket, auth.identityOf(socket)).then(
      () => next(),
      (error: unknown) => {
        // A refused client would stay away, and a new session would lose its rooms. A closed one comes back.
        app.log.warn({ err: error }, 'a session could not be looked up; its client comes back')
        socket.conn.close()
      },
    )
  })

  app.io.on('connection', (socket) => {
    socket.emit('connection_established', { status: 'connected' })
    socket.on('disconnect', (reason) => {
      rooms.leaveAll(socket)
      courses.leaveAll(socket)
      // A client whose token ended comes back with a new one; only one that says goodbye is gone.
      sessions.end(socket, reason === 'client namespace disconnect')
    })
    rejoin(socket).catch((error: unknown) => app.log.error({ err: error }, 'rooms could not be joined again'))

    handle(socket, 'join_chapter', checkJoin, async ({ chapter_id, after_seq = 0 }: JoinChapter) =>
      rooms.join(socket, chapter_id, after_seq),
    )
    handle(socket, 'leave_chapter', checkLeave, async ({ chapter_id }: LeaveChapter) => {
      await rooms.leave(socket, chapter_id)
      return { chapter_id }
    })
    handle(socket, 'join_course', checkJoinCourse, async ({ course_id }: JoinCourse) => {
      await courses.join(socket, course_id)
      return { course_id }
    })
    handle(socket, 'leave_course', checkLeaveCourse, async ({ course_id }: LeaveCourse) => {
      await courses.leave(socket, course_id)
      return { course_id }
    })
    handle(
      socket,
      'refresh_token',
      // `refresh` validates the token itself, and does nothing while clients need no token.
      () => [],
      async (payload: { token?: unknown } | null | undefined) => {
        await auth.refresh(socket, payload?.token)
        rooms.leaveForbidden(socket)
        courses.refresh(socket)
        return {}
      },
    )
  })

  /** The rooms of a session that comes back. What was refused is logged in one line, however many rooms there are. */
  async function rejoin(socket: ChapterSocket): Promise<void> {
    const refused: ({ code: string } & RoomName)[] = []
    const tryRoom = async (room: RoomName, enter: () => Promise<unknown>) => {
      try {
        await enter()
      } catch (error) {
        const { code } = refusalOf(error)
        if (code === 'internal') app.log.error({ err: error, ...room }, 'a room could not be joined again')
        refused.push({ ...room, code })
        // A stock client does not join again, so it would miss the room without knowing. A closed one comes back.
        if (code === 'unavailable') socket.conn.close()
      }
    }
    await Promise.all([
      ...sessions
        .roomsOf(socket)
        .map(({ chapterId, afterSeq }) =>
          tryRoom({ chapter_id: chapterId }, () => rooms.rejoin(socket, chapterId, afterSeq)),
        ),
      ...sessions
        .coursesOf(socket)
        .map((courseId) => tryRoom({ course_id: courseId }, () => courses.rejoin(socket, courseId))),
    ])
    if (refused.length > 0)
      app.log.info(
        { count: refused.length, rooms: refused.slice(0, MAX_LOGGED_ROOMS) },
        'rooms of a session were not joined again',
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
          socket.emit('join_failed', { chapter_id: idIn(payload, 'chapter_id'), ...refusal })
        if (name === 'join_course')
          socket.emit('join_failed', {
            chapter_id: null,
            course_id: idIn(payload, 'course_id'),
            ...refusal,
          })
        return { ok: false, ...refusal }
      }
    }
  }
}

type RoomName = { chapter_id: number } | { course_id: number }

function idIn(payload: unknown, name: 'chapter_id' | 'course_id'): number | null {
  const id = (payload as Record<string, unknown> | null | undefined)?.[name]
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : null
}
