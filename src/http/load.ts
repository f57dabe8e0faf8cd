/**
 * How much this node holds at once for requests that are under way: their number, the bytes of their bodies, and the
 * bytes of answers that are not sent yet. Beyond the limits a request is refused with 503 before its body is read, and
 * an answer that would not fit is replaced by 503. Health checks and metrics are always answered.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { UnavailableError } from '../errors.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** What it counts for; null where it does not count. */
    loadShare: LoadShare | null
  }
}

/** Requests under way at once. Event streams do not count after they have begun. */
const MAX_REQUESTS = 4096
/** Where a route says nothing. */
const DEFAULT_BODY_BYTES = 1_048_576

interface LoadShare {
  isCounted: boolean
  bytes: number
}

/** Before the routes, and before whatever else looks at a request. */
export function boundLoad(app: FastifyInstance, maxBytes: number): void {
  app.decorateRequest('loadShare', null)
  let requests = 0
  let bytes = 0

  function stopCounting(share: LoadShare): void {
    if (share.isCounted) requests -= 1
    share.isCounted = false
  }

  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config.whileClosing === true) return done()
    const bodyBytes = bodyBytesOf(request)
    if (requests >= MAX_REQUESTS || bytes + bodyBytes > maxBytes) return done(tooMuch())
    const share = { isCounted: true, bytes: bodyBytes }
    request.loadShare = share
    requests += 1
    bytes += bodyBytes
    reply.raw.on('close', () => {
      stopCounting(share)
      bytes -= share.bytes
      request.loadShare = null
    })
    done()
  })

  app.addHook('onSend', (request, reply, payload, done) => {
    // Null also when its client has gone: nothing is kept for it.
    const share = request.loadShare
    if (share === null) return done(null, payload)
    if (!isWhole(payload)) {
      stopCounting(share)
      return done(null, payload)
    }
    // Only what reads may be refused now: the others have done their work.
    if (bytes + payload.length > maxBytes && isReplaceable(request, reply)) return done(tooMuch())
    share.bytes += payload.length
    bytes += payload.length
    done(null, payload)
  })
}

/** What its body may take. A longer one is refused before it is read, and the body of a GET is never read. */
function bodyBytesOf({ headers, method, routeOptions }: FastifyRequest): number {
  if (method === 'GET' || method === 'HEAD') return 0
  const most = routeOptions.bodyLimit ?? DEFAULT_BODY_BYTES
  // The length of a body in chunks is not told.
  if (headers['transfer-encoding'] !== undefined) return most
  return Math.min(Number(headers['content-length'] ?? 0) || 0, most)
}

/** A stream is not: it goes on while it is read. */
function isWhole(payload: unknown): payload is string | Buffer {
  return typeof payload === 'string' || Buffer.isBuffer(payload)
}

function isReplaceable({ method }: FastifyRequest, { statusCode }: FastifyReply): boolean {
  return (method === 'GET' || method === 'HEAD') && statusCode < 400
}

function tooMuch(): UnavailableError {
  return new UnavailableError('This node holds as many requests and answers as it can; try again in a moment')
}
