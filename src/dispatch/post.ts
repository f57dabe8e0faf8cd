/**
 * POST to a service of the user’s: redirects are not followed, the answer is bounded, and nothing but the caller’s
 * signal ends a request that takes long. (`fetch` gives up after 300 s, and a model may be slower.)
 */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps, Agent as TlsAgent } from 'node:https'

export interface PostRequest {
  url: string
  headers: Record<string, string>
  body: string
  /** Of the answer’s body; the rest is not read. */
  maxBytes: number
  signal: AbortSignal
}

export interface PostAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  /** There was more of it than `maxBytes`. */
  isCut: boolean
}

export interface Poster {
  /** Rejects when there is no whole answer: refused, broken, or aborted with the signal’s reason. */
  post(request: PostRequest): Promise<PostAnswer>
  /** Ends the connections that are kept open. */
  close(): void
}

const CONNECT_TIMEOUT_MS = 10_000
/** A peer that is gone without a word is noticed by TCP. */
const KEEP_ALIVE_MS = 30_000
/**
 * A peer may close an idle connection at the moment that it is used again: then the request is sent once more. One that
 * was broken later may have been read.
 */
const STALE_MS = 1000

export function createPoster(): Poster {
  const plain = new Agent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS })
  const tls = new TlsAgent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS })

  function once(
    { url, headers, body, maxBytes, signal }: PostRequest,
    isFresh: boolean,
  ): Promise<PostAnswer> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const startedAt = performance.now()
      const isTls = url.startsWith('https:')
      const request = (isTls ? requestHttps : requestHttp)(url, {
        method: 'POST',
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
        agent: isFresh ? false : isTls ? tls : plain,
        signal,
      })
      const timer = setTimeout(
        () => request.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
        CONNECT_TIMEOUT_MS,
      )
      request.once('socket', (socket) => {
        const connected = () => clearTimeout(timer)
        if (socket.connecting) socket.once(isTls ? 'secureConnect' : 'connect', connected)
        else connected()
        socket.setKeepAlive(true, KEEP_ALIVE_MS)
      })
      const failed = (error: Error) => {
        clearTimeout(timer)
        if (signal.aborted) reject(signal.reason)
        else if (request.reusedSocket && isReset(error) && performance.now() - startedAt < STALE_MS)
          once({ url, headers, body, maxBytes, signal }, true).then(resolve, reject)
        else reject(error)
      }
      request.once('error', failed)
      // An answer 101, which was not asked for. Without a listener Node drops the connection and reports nothing.
      request.once('upgrade', ({ statusCode = 0, headers: answered }, socket) => {
        socket.destroy()
        resolve({ status: statusCode, headers: answered, body: Buffer.alloc(0), isCut: false })
      })
      request.once('response', (response) => {
        request.off('error', failed).on('error', () => {})
        read(response, maxBytes).then(resolve, (error: unknown) =>
          reject(signal.aborted ? signal.reason : error),
        )
      })
      request.end(body)
    })
  }

  return {
    // An address that cannot be requested, as one with a port of 0, throws.
    post: async (request) => once(request, false),
    close() {
      plain.destroy()
      tls.destroy()
    },
  }
}

async function read(response: IncomingMessage, maxBytes: number): Promise<PostAnswer> {
  const chunks: Buffer[] = []
  let length = 0
  let isCut = false
  // Ends with an error if the connection breaks before the body is whole.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length <= maxBytes) continue
    isCut = true
    break
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks).subarray(0, maxBytes),
    isCut,
  }
}

function isReset(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ECONNRESET' || code === 'EPIPE'
}

/** Longest wait that is honoured, as of a `-fail`. */
const RETRY_AFTER_MAX_MS = 3_600_000

/** RFC 9110, 10.2.3: seconds or a date. 0 when absent, unreadable or past. */
export function retryAfterMsOf(headers: IncomingHttpHeaders, now: number): number {
  const value = headers['retry-after']?.trim()
  if (!value) return 0
  const ms = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return ms > 0 ? Math.min(ms, RETRY_AFTER_MAX_MS) : 0
}

/** Why there was no answer, in a few words without the address, which may hold a secret. */
export function brokenBecause(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return typeof code === 'string' ? code : (message ?? String(error))
}
