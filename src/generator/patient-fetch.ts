/**
 * A POST that waits as long as its signal lets it. Node's own `fetch` gives up after 300 seconds without headers, or
 * between two pieces of a body, which a slow model needs.
 *
 * Redirects are not followed: a 301 or 302 would become a GET without the body. Every request has a connection of its
 * own: one that was kept might be closed by the server at the moment it is used, and a model is not asked twice.
 */
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'

export interface PostOptions {
  method: 'POST'
  headers: Record<string, string>
  body: string
  redirect?: 'manual'
  signal: AbortSignal
}

/** As much of `fetch` as a model's client needs. */
export type PostRequest = (url: string, options: PostOptions) => Promise<Response>

/** These have no body, and `Response` allows none. */
const BODILESS = new Set([204, 205, 304])

export const patientFetch: PostRequest = async (url, { headers, body, signal }) => {
  signal.throwIfAborted()
  const send = new URL(url).protocol === 'https:' ? httpsRequest : httpRequest
  const bytes = Buffer.from(body)
  const outgoing = send(url, {
    method: 'POST',
    agent: false,
    signal,
    headers: { ...headers, 'content-length': bytes.length, 'accept-encoding': 'identity' },
  })
  // What fails after the headers ends the body, which tells it.
  outgoing.on('error', () => {})
  outgoing.end(bytes)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  const status = incoming.statusCode ?? 0
  const fields = Object.entries(incoming.headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, [value].flat().join(', ')] as [string, string]],
  )
  if (BODILESS.has(status)) incoming.resume()
  const stream = BODILESS.has(status) ? null : (Readable.toWeb(incoming) as ReadableStream<Uint8Array>)
  return new Response(stream, { status, headers: fields })
}
