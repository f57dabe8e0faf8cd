/**
 * Credentials of sockets: `auth: {token}` when a client connects, `refresh_token` before that one ends, and the end.
 *
 * - A bad token refuses the connect; the client is told why (`err.data.code`) and stays away. While the issuer’s keys
 *   cannot be fetched, no token can be checked: the connect waits a little, and then the connection is closed so that
 *   the client comes back by itself.
 * - When a token ends, the client is told (`token_expired`) and disconnected so that it does not come back by itself:
 *   the same token would be refused. It connects again with a new one.
 * - A connection asks once: while one handshake is being checked, another one on the same connection closes it.
 * - A refresh keeps the client (`sub`) and may change its rights. The last one asked for counts.
 */
import { setTimeout as delay } from 'node:timers/promises'
import proxyAddr from '@fastify/proxy-addr'
import { ANYONE, type Identity } from '../auth/access.js'
import { clientOf } from '../auth/client.js'
import { runAt } from '../auth/expiry.js'
import type { TokenVerifier } from '../auth/token.js'
import type { Config } from '../config/config.js'
import type { Refusal } from '../contract/socket.js'
import { AppError, ForbiddenError, UnauthorizedError, UnavailableError } from '../errors.js'
import type { ChapterIo, ChapterSocket } from './chapter-io.js'

export interface SocketAuth {
  /** Of a connected socket, as of now. */
  identityOf(socket: ChapterSocket): Identity
  /** Whom limits are counted for. */
  clientOf(socket: ChapterSocket): string
  /**
   * Replaces a socket’s token. Does nothing while client authentication is off.
   * @throws {AppError} and keeps the one before
   */
  refresh(socket: ChapterSocket, token: unknown): Promise<void>
}

export interface SocketAuthOptions {
  /** undefined: clients need no token. */
  verify: TokenVerifier | undefined
  now: () => number
  trustProxy: Config['trustProxy']
  onError: (error: unknown) => void
}

interface Session {
  identity: Identity
  cancelExpiry: () => void
  /** `asked` counts refreshes from 1; `held` is the one whose token is in use. */
  asked: number
  held: number
  waiting: number
}

/** Pauses before the issuer’s keys are asked for again, while a client waits to connect, ms. */
const KEY_RETRIES_MS = [500, 1000, 2000, 4000]
/** Refreshes that one connection may have waiting. */
const MAX_REFRESHES = 10

/** Register it before other listeners of connections: it decides who connects. */
export function guardSockets(io: ChapterIo, options: SocketAuthOptions): SocketAuth {
  const { verify, now, onError } = options
  const sessions = new WeakMap<ChapterSocket, Session>()
  const connecting = new WeakSet<ChapterSocket['conn']>()
  const addressOf = addressReader(options.trustProxy)
  const identityOf = (socket: ChapterSocket) => {
    if (verify === undefined) return ANYONE
    const session = sessions.get(socket)
    if (session === undefined) throw new Error('This socket was not authenticated')
    return session.identity
  }

  function hold(socket: ChapterSocket, session: Session, identity: Identity): void {
    session.cancelExpiry()
    session.identity = identity
    session.cancelExpiry = runAt(identity.expiresAt, now, () => {
      socket.emit('token_expired', { message: 'The token has expired; connect again with a new one' })
      socket.disconnect(true)
    })
  }

  async function refresh(socket: ChapterSocket, token: unknown, check: TokenVerifier): Promise<void> {
    const session = sessions.get(socket)
    if (session === undefined) throw new Error('This socket was not authenticated')
    if (session.waiting >= MAX_REFRESHES)
      throw new AppError('too_many_requests', `${MAX_REFRESHES} refreshes are waiting; ask more slowly`)
    session.asked += 1
    session.waiting += 1
    const turn = session.asked
    try {
      const identity = await check(token)
      if (identity.subject !== session.identity.subject)
        throw new ForbiddenError('A connection belongs to one client (`sub`); connect again to be another')
      if (turn < session.held || !socket.connected) return
      session.held = turn
      hold(socket, session, identity)
    } finally {
      session.waiting -= 1
    }
  }

  // Socket.IO itself notices a second handshake only after the first one was admitted. A thousand in one packet
  // would be a thousand sockets, each with rooms of its own.
  io.use((socket, next) => {
    if (connecting.has(socket.conn)) {
      socket.conn.close(true)
      return next(refusedConnect(new AppError('too_many_requests', 'This connection is connecting already')))
    }
    connecting.add(socket.conn)
    next()
  })
  io.on('connection', ({ conn }) => void connecting.delete(conn))

  if (verify !== undefined) {
    io.use((socket, next) => {
      admit(socket, verify).then(
        (identity) => {
          if (identity !== undefined)
            sessions.set(socket, { identity, cancelExpiry: () => {}, asked: 0, held: 0, waiting: 0 })
          // If the connection was closed meanwhile, Socket.IO drops the socket and reports nothing.
          next()
        },
        (error: unknown) => {
          if (!(error instanceof AppError)) onError(error)
          connecting.delete(socket.conn)
          next(refusedConnect(error))
        },
      )
    })
    io.on('connection', (socket) => {
      const session = sessions.get(socket)
      if (session === undefined) return
      hold(socket, session, session.identity)
      socket.on('disconnect', () => session.cancelExpiry())
    })
  }

  return {
    identityOf,
    clientOf: (socket) => clientOf(identityOf(socket), addressOf(socket)),
    async refresh(socket, token) {
      if (verify !== undefined) await refresh(socket, token, verify)
    },
  }
}

/** @returns undefined when the connection was closed instead */
async function admit(socket: ChapterSocket, verify: TokenVerifier): Promise<Identity | undefined> {
  const token = (socket.handshake.auth as { token?: unknown } | null)?.token
  if (token === undefined) throw new UnauthorizedError('This needs a token: connect with `auth: {token}`')
  for (const waitMs of [...KEY_RETRIES_MS, undefined]) {
    try {
      return await verify(token)
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
    }
    if (waitMs === undefined) break
    await delay(waitMs * (0.5 + Math.random()), undefined, { ref: false })
    if (socket.conn.readyState !== 'open') return undefined
  }
  socket.conn.close()
  return undefined
}

/** As Socket.IO clients get it: `err.message`, `err.data.code`. */
function refusedConnect(error: unknown): Error & { data: Refusal } {
  const { code, message }: Refusal =
    error instanceof AppError ? error : { code: 'internal', message: 'The server failed' }
  return Object.assign(new Error(message), { data: { code, message } })
}

/** Where a client is, as Fastify has it for requests (`request.ip`). */
function addressReader(trustProxy: Config['trustProxy']): (socket: ChapterSocket) => string {
  if (trustProxy === false) return ({ handshake }) => handshake.address
  const isTrusted = trustProxy === true ? () => true : proxyAddr.compile([...(trustProxy as string[])])
  return ({ request }) => proxyAddr(request, isTrusted)
}
