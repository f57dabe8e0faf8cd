/**
 * What holds for every request, whoever answers it: Fastify, Socket.IO’s polls or its upgrades.
 *
 * - It is HTTP/1.0 or 1.1. `Host` stands in it once (RFC 9112 §3.2), and it expects nothing but `100-continue`
 *   (RFC 9110 §10.1.1).
 * - Its target is a path. `http://host/path` is read as that path (RFC 9112 §3.2.2), `*` is for OPTIONS only.
 * - None of its headers was dropped, for one of those may be what it is judged by.
 * - `CORS_ORIGIN` is the list of origins that may call from a browser. A request that names another origin is refused,
 *   whether it reads or writes, because answers without CORS headers still have an effect. Programs send no `Origin`
 *   and are not concerned. A page that this server itself gave out is of its own origin.
 * - An upgrade that is not Socket.IO’s is ignored and the request answered as HTTP/1.1 (RFC 9110 §7.8).
 */
import { IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { Config } from '../config/config.js'
import { AppError, InvalidRequestError, MethodNotAllowedError } from '../errors.js'

/** @returns why it is refused */
export type RefuseRequest = (request: IncomingMessage) => AppError | undefined

const SOCKET_IO_PATH = '/socket.io/'
/** JSONP, which would be a way around CORS, is off, so these are all. */
const SOCKET_IO_METHODS = ['GET', 'POST', 'OPTIONS']
const CLIENT_FILE = /^\/socket\.io\/[\w.-]+\.js(\.map)?(\?|$)/
const CLIENT_FILE_METHODS = ['GET', 'HEAD', 'OPTIONS']

export function isSocketIo({ url = '' }: IncomingMessage): boolean {
  return url.startsWith(SOCKET_IO_PATH)
}

/** Of the client’s script, as Socket.IO names it. */
const CLIENT_ETAG = `"${(createRequire(import.meta.url)('socket.io/package.json') as { version: string }).version}"`

/**
 * Socket.IO compares `If-None-Match` of its client’s script with one tag. A list and `*` become that tag where they
 * match it (RFC 9110 §13.1.2).
 */
export function nameOneTag({ url = '', headers }: IncomingMessage): void {
  const asked = headers['if-none-match']
  if (asked === undefined || !CLIENT_FILE.test(url)) return
  const tags = asked.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  if (asked.trim() === '*' || tags.includes(CLIENT_ETAG)) headers['if-none-match'] = CLIENT_ETAG
}

const UPGRADE = Symbol('upgrade')
type Upgradable = IncomingMessage & { [UPGRADE]?: boolean; upgrade?: boolean }

/** As Node creates it, except that only Socket.IO’s upgrade is accepted. Node would leave any other upgrade without an answer. */
export class HttpRequest extends IncomingMessage {}

const TARGET = Symbol('target')
/** As a proxy is asked; servers must take it too. */
const ABSOLUTE_FORM = /^https?:\/\/[^/?]*/i

Object.defineProperty(HttpRequest.prototype, 'url', {
  get(this: { [TARGET]?: string }) {
    return this[TARGET]
  },
  set(this: { [TARGET]?: string }, target: string) {
    this[TARGET] = ABSOLUTE_FORM.test(target) ? pathOf(target) : target
  },
})

function pathOf(target: string): string {
  const path = target.replace(ABSOLUTE_FORM, '')
  return path.startsWith('/') ? path : `/${path}`
}

/** Whether it asked for another protocol and is answered as HTTP/1.1. */
export function isIgnoredUpgrade(request: Upgradable): boolean {
  return request[UPGRADE] === true && !request.upgrade
}

// Node sets it before it asks for it; an accessor of the class itself would come too late for its constructor.
Object.defineProperty(HttpRequest.prototype, 'upgrade', {
  get(this: Upgradable) {
    if (this[UPGRADE] !== true) return this[UPGRADE]
    return this.method === 'CONNECT' || (isSocketIo(this) && /^websocket$/i.test(this.headers.upgrade ?? ''))
  },
  set(this: Upgradable, isUpgrade: boolean) {
    this[UPGRADE] = isUpgrade
  },
})

/** Node drops headers beyond so many without a word. */
const MAX_HEADERS = 1000
const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS']

/** A tunnel to somewhere else, which this server is not. */
export function refuseTunnel(): AppError {
  return new MethodNotAllowedError('CONNECT', METHODS)
}

/** For every request. */
export function requestCheck(corsOrigin: Config['corsOrigin']): RefuseRequest {
  return (request) => {
    const { headers, rawHeaders, httpVersionMinor, httpVersionMajor, url = '', method } = request
    if (httpVersionMajor === 0) return invalid('/version', 'must be HTTP/1.0 or HTTP/1.1')
    if (rawHeaders.length >= 2 * MAX_HEADERS)
      return new AppError('headers_too_large', `There may be fewer than ${MAX_HEADERS} headers`)
    if (!url.startsWith('/') && !(url === '*' && method === 'OPTIONS'))
      return invalid('/target', 'must be a path')
    let hosts = 0
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] ?? ''
      if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
    }
    if (hosts > 1 || (hosts === 0 && httpVersionMinor === 1))
      return invalid('/headers/host', 'must be there once')
    // HTTP/1.0 knows no expectations: they are ignored (RFC 9110 §10.1.1).
    if (httpVersionMinor === 1 && headers.expect !== undefined && !canBeMet(headers.expect))
      return new AppError('expectation_failed', 'The only expectation that is met here is `100-continue`')
    if (corsOrigin !== '*' && !isAllowed(request, corsOrigin))
      return new AppError('origin_not_allowed', 'CORS_ORIGIN does not list this origin')
    return undefined
  }
}

/** It is a list, in which empty members mean nothing (RFC 9110 §5.6.1). */
function canBeMet(expect: string): boolean {
  return expect.split(',').every((one) => /^(?:100-continue)?$/i.test(one.trim()))
}

function invalid(path: string, message: string): InvalidRequestError {
  return new InvalidRequestError([{ path, message }])
}

/** For requests to Socket.IO’s path, beside the above. */
export function socketIoCheck(check: RefuseRequest): RefuseRequest {
  return (request) => {
    const { url = '', method = '' } = request
    const methods = CLIENT_FILE.test(url) ? CLIENT_FILE_METHODS : SOCKET_IO_METHODS
    if (!methods.includes(method)) return new MethodNotAllowedError(method, methods)
    if (new URLSearchParams(url.split('?')[1]).has('j'))
      return invalid('/query/j', 'asks for JSONP, which is off')
    return check(request)
  }
}

function isAllowed({ headers }: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin } = headers
  if (origin === undefined)
    // Images, scripts and styles of other pages name no origin, but browsers say that another page asks.
    return !(
      headers['sec-fetch-mode'] === 'no-cors' && /^(cross|same)-site$/.test(String(headers['sec-fetch-site']))
    )
  return (
    allowed.includes(origin) || origin === `http://${headers.host}` || origin === `https://${headers.host}`
  )
}
