/**
 * Answers on connections and responses that Fastify does not have in hand: what is not HTTP, what must not reach
 * Socket.IO, what waits too long.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { ERRORS } from '../contract/problem.js'
import type { AppError } from '../errors.js'
import { ANSWER_HEADERS, headersOf, problemOf } from './problem.js'

/** Connections that have said their last and are about to be closed. */
const closing = new WeakSet<Socket>()

export function isClosing(socket: Socket): boolean {
  return closing.has(socket)
}

/** How long a client may take to read the last answer, ms. */
const LAST_ANSWER_MS = 1000

/** Sends a last answer and closes the connection, whether or not the client closes it or reads the answer. */
export function closeAfter(socket: Socket, answer: string): void {
  closing.add(socket)
  destroyLater(socket)
  socket.resume()
  socket.end(answer)
}

/**
 * Closes a connection when everything that was written to it is sent. What the client still sends is read for a moment:
 * closing with unread bytes would reset the connection, and the client would lose answers.
 */
export function endAndDestroy(socket: Socket): void {
  if (socket.destroyed) return
  socket.resume()
  socket.end(() => destroyLater(socket))
}

function destroyLater(socket: Socket): void {
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), LAST_ANSWER_MS)
  socket.once('close', () => clearTimeout(timer))
}

/** A refusal as bytes of HTTP/1.1, for a connection that Fastify does not answer on. */
export function rawProblem(error: AppError): string {
  const { head, body } = rawAnswer(error)
  const { status } = ERRORS[error.code]
  const lines = Object.entries({ ...head, connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`
}

/** The same on a response. */
export function answerRaw(response: ServerResponse, error: AppError): void {
  const { head, body } = rawAnswer(error)
  response.writeHead(ERRORS[error.code].status, { ...head, connection: 'close' }).end(body)
}

function rawAnswer(error: AppError): { head: Record<string, string>; body: string } {
  const body = JSON.stringify(problemOf(error.code, error.message, 'none'))
  const head = {
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    ...ANSWER_HEADERS,
    ...headersOf(error),
  }
  return { head, body }
}
