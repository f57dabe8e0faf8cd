/**
 * The server’s TCP connections: what each is being answered, what waits on it, and when it is cut.
 *
 * - Requests of one connection are accepted one after the other: the next one when the answer before it was handed to
 *   the operating system. So what a client pipelines costs no more than one answer at a time, and a connection that
 *   closes leaves nothing that was begun for it but that one.
 * - What a client sends after a request with `Connection: close` is ignored, and costs none of the answers before it.
 * - A connection is not read further while many requests wait on it. Beyond the limits it gets 503 and is closed.
 * - What clients do not read is counted for the whole node. Beyond the limit the slowest are cut.
 * - No connection delays the shutdown of a node: a browser’s spare one, half a request, a client that stopped reading.
 *
 * Covers everything that comes in, Socket.IO’s polls too, so it is set up after Socket.IO.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { ErrorCode } from '../contract/problem.js'
import { AppError, UnavailableError } from '../errors.js'
import { answerRaw, closeAfter, endAndDestroy, isClosing, rawProblem } from './raw-answer.js'
import {
  isIgnoredUpgrade,
  isSocketIo,
  nameOneTag,
  type RefuseRequest,
  refuseTunnel,
} from './request-check.js'

/** Something that holds bytes for a client that has not read them. */
export interface SlowReader {
  unsentBytes: number
  cut(): void
}

export interface Connections {
  /** Ends every connection on which no request is being answered. */
  destroyIdle(): void
  destroyAll(): void
  /** Also counts what these hold besides their sockets’ own buffers. */
  watch(readers: () => Iterable<SlowReader>): void
}

export interface ConnectionsOptions {
  /** Of a request that must not reach Socket.IO. */
  refuse: RefuseRequest
  /** What the node may hold for clients that do not read. */
  maxUnsentBytes: number
}

/** A connection is read again when fewer wait. */
const PAUSE_AT = 100
/** Requests that may wait on one connection: as many as one read of it can bring, and more than any client pipelines. */
const MAX_WAITING = 1000
/** And on all of them. */
const MAX_WAITING_TOTAL = 10_000
const WATCH_MS = 1000

interface Exchange {
  request: IncomingMessage
  response: ServerResponse
}

interface Connection {
  socket: Socket
  current: Exchange | undefined
  waiting: Exchange[]
  /** Nothing more is taken from it. */
  isFull: boolean
  /** What was unsent when it was last looked at, and for how many looks none of it was sent. */
  unsentBytes: number
  /** -1: nothing was unsent. */
  sentBytes: number
  stalledFor: number
}

const connections = new WeakMap<Socket, Connection>()

/** Whether an answer is under way on a connection, or is the next that must be sent there. */
function isBusy(socket: Socket): boolean {
  const connection = connections.get(socket)
  return connection !== undefined && (connection.current !== undefined || connection.waiting.length > 0)
}

export function trackConnections(
  app: FastifyInstance,
  { refuse, maxUnsentBytes }: ConnectionsOptions,
): Connections {
  const server = app.server as Server
  const open = new Set<Connection>()
  const readers: (() => Iterable<SlowReader>)[] = []
  const answer = takeListeners<[IncomingMessage, ServerResponse]>(server, 'request')
  const upgrade = takeListeners<[IncomingMessage, Socket, Buffer]>(server, 'upgrade')
  let waitingTotal = 0

  server.on('connection', (socket: Socket) => {
    const connection: Connection = {
      socket,
      current: undefined,
      waiting: [],
      isFull: false,
      unsentBytes: 0,
      sentBytes: -1,
      stalledFor: 0,
    }
    open.add(connection)
    connections.set(socket, connection)
    // Node calls it after the last answer.
    socket.destroySoon = () => endAndDestroy(socket)
    socket.on('close', () => {
      open.delete(connection)
      forgetWaiting(connection)
    })
  })
  server.on('request', accept)
  // A request that expects what the server does not know is refused like any other.
  server.on('checkExpectation', accept)
  server.on('connect', (_request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => {})
    if (isBusy(socket)) socket.destroy()
    else closeAfter(socket, rawProblem(refuseTunnel()))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {})
    // Two answers would get into each other.
    if (isBusy(socket)) return socket.destroy()
    const refusal = refuse(request)
    if (refusal === undefined) return upgrade(request, socket, head)
    closeAfter(socket, rawProblem(refusal))
  })

  function accept(request: IncomingMessage, response: ServerResponse): void {
    const connection = connections.get(request.socket)
    // What comes after the last answer is not done.
    if (connection === undefined || connection.isFull || isClosing(request.socket)) return
    // Node has dropped what came after it in the same packet. The client learns by the close that it must ask again.
    if (isIgnoredUpgrade(request)) response.shouldKeepAlive = false
    // An answer may end between two requests of one packet. Then those that wait come first.
    if (connection.current === undefined && connection.waiting.length === 0) {
      serve(connection, { request, response })
      return
    }
    connection.waiting.push({ request, response })
    waitingTotal += 1
    connection.isFull = connection.waiting.length > MAX_WAITING || waitingTotal > MAX_WAITING_TOTAL
    if (connection.waiting.length >= PAUSE_AT) connection.socket.pause()
  }

  function serve(connection: Connection, exchange: Exchange): void {
    const { request, response } = exchange
    connection.current = exchange
    response.on('close', () => {
      connection.current = undefined
      // Others get their turn between two requests of one connection.
      if (connection.waiting.length > 0) setImmediate(serveNext, connection)
    })
    nameOneTag(request)
    const refusal = refusalOf(connection, request)
    if (refusal === undefined) answer(request, response)
    else answerRaw(response, refusal)
  }

  function refusalOf({ isFull, waiting }: Connection, request: IncomingMessage): AppError | undefined {
    // The one that was too many is the last that was taken.
    if (isFull && waiting.length === 0)
      return new UnavailableError('Too many requests wait on this connection')
    return isSocketIo(request) ? refuse(request) : undefined
  }

  function serveNext(connection: Connection): void {
    const { socket, waiting } = connection
    if (connection.current !== undefined) return
    if (!socket.writable) forgetWaiting(connection)
    const next = waiting.shift()
    if (next === undefined) return
    waitingTotal -= 1
    if (waiting.length < PAUSE_AT && !connection.isFull) socket.resume()
    serve(connection, next)
  }

  function forgetWaiting(connection: Connection): void {
    waitingTotal -= connection.waiting.length
    connection.waiting = []
  }

  /** Cuts the slowest until half of the limit is free: first those that took nothing for long, then those with most. */
  function cutSlowReaders(): void {
    const slow: (SlowReader & { stalledFor: number })[] = []
    for (const connection of open) {
      measure(connection)
      const { unsentBytes, stalledFor, socket } = connection
      if (unsentBytes > 0) slow.push({ unsentBytes, stalledFor, cut: () => socket.destroy() })
    }
    for (const list of readers) for (const reader of list()) slow.push({ ...reader, stalledFor: 0 })
    let total = slow.reduce((sum, { unsentBytes }) => sum + unsentBytes, 0)
    if (total <= maxUnsentBytes) return
    slow.sort((a, b) => b.stalledFor - a.stalledFor || b.unsentBytes - a.unsentBytes)
    let cut = 0
    for (const { unsentBytes, cut: cutOff } of slow) {
      if (total <= maxUnsentBytes / 2) break
      cutOff()
      cut += 1
      total -= unsentBytes
    }
    app.log.warn({ connections: cut }, 'clients do not read what was sent to them; the slowest were cut')
  }
  const timer = setInterval(cutSlowReaders, WATCH_MS).unref()
  app.addHook('onClose', async () => clearInterval(timer))

  return {
    destroyIdle() {
      for (const { socket, current } of open) if (!isAnswered(current)) socket.destroy()
    },
    destroyAll() {
      for (const { socket } of open) socket.destroy()
    },
    watch(list) {
      readers.push(list)
    },
  }
}

/**
 * A request that was not even HTTP: answered on the bare socket, in the same shape. While the answer to another
 * request is under way there, the connection is closed instead: an error must not land inside another answer.
 */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (isClosing(socket)) return
  // The request before it said `Connection: close`: it and those before it are answered, what follows is ignored.
  if (error.code === 'HPE_CLOSED_CONNECTION') return
  const exchange = connections.get(socket)?.current
  const isOfThis = exchange !== undefined && !exchange.request.complete && !exchange.response.headersSent
  const isOfAnother = isBusy(socket) && !isOfThis
  if (error.code === 'ECONNRESET' || !socket.writable || isOfAnother) {
    socket.destroy()
    return
  }
  const code: ErrorCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'headers_too_large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'request_timeout'
        : 'invalid_request'
  // Its rest may still come: a request that was refused must not be done.
  exchange?.request.removeAllListeners('end')
  closeAfter(socket, rawProblem(new AppError(code, DETAILS[code] ?? 'This is not a valid HTTP request')))
}

const DETAILS: Partial<Record<ErrorCode, string>> = {
  headers_too_large: 'The address and headers may have 16 KB together',
  request_timeout: 'The request did not arrive in time',
}

/** Takes the listeners of an event off the server, to be called one by one later. */
function takeListeners<Args extends unknown[]>(server: Server, event: string): (...args: Args) => void {
  const listeners = server.listeners(event) as ((...args: Args) => void)[]
  server.removeAllListeners(event)
  return (...args) => {
    for (const listener of listeners) listener.call(server, ...args)
  }
}

/** Half a request may never become one, and a poll waits for nothing in particular. */
function isAnswered(current: Exchange | undefined): boolean {
  return current?.request.complete === true && !isSocketIo(current.request)
}

function measure(connection: Connection): void {
  const { socket } = connection
  const unsentBytes = socket.writableLength
  // Of thousands, nearly all: to count what was sent costs more.
  if (unsentBytes === 0) {
    connection.unsentBytes = connection.stalledFor = 0
    connection.sentBytes = -1
    return
  }
  const sentBytes = socket.bytesWritten - unsentBytes
  connection.stalledFor = sentBytes === connection.sentBytes ? connection.stalledFor + 1 : 0
  connection.unsentBytes = unsentBytes
  connection.sentBytes = sentBytes
}
