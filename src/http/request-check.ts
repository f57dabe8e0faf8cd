/**
 * What holds for every request, whoever answers it: Fastify, Socket.IO’s polls or its upgrades.
 *
 * - `Host` stands in it once (RFC 9112 §3.2), and it expects nothing but `100-continue` (RFC 9110 §10.1.1).
 * - `CORS_ORIGIN` is the list of origins that may call from a browser. A request that names another origin is refused,
 *   whether it reads or writes, because answers without CORS headers still have an effect. Programs send no `Origin`
 *   and are not concerned. A page that this server itself gave out is of its own origin.
 * - An upgrade that is not Socket.IO’s is ignored and the request answered as HTTP/1.1 (RFC 9110 §7.8).
 */
import { IncomingMessage } from 'node:http'
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

const UPGRADE = Symbol('upgrade')
type Upgradable = IncomingMessage & { [UPGRADE]?: boolean; upgrade?: boolean }

/** As Node makes it, but the only upgrade is Socket.IO’s. Node would hand any other one to nobody. */
export class HttpRequest extends IncomingMessage {}

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

/** For every request. */
export function requestCheck(corsOrigin: Config['corsOrigin']): RefuseRequest {
  return (request) => {
    const { headers, rawHeaders, httpVersionMinor, httpVersionMajor } = request
    let hosts = 0
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] ?? ''
      if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
    }
    if (hosts > 1 || (hosts === 0 && httpVersionMajor === 1 && httpVersionMinor === 1))
      return new InvalidRequestError([
        { path: '/headers/host', message: 'must be there once', code: 'invalid' },
      ])
    if (headers.expect !== undefined && !/^100-continue$/i.test(headers.expect))
      return new AppError('expectation_failed', 'The only expectation that is met here is `100-continue`')
    if (corsOrigin !== '*' && !isAllowed(request, corsOrigin))
      return new AppError('origin_not_allowed', 'CORS_ORIGIN does not list this origin')
    return undefined
  }
}

/** For requests to Socket.IO’s path, beside the above. */
export function socketIoCheck(check: RefuseRequest): RefuseRequest {
  return (request) => {
    const { url = '', method = '' } = request
    const methods = CLIENT_FILE.test(url) ? CLIENT_FILE_METHODS : SOCKET_IO_METHODS
    if (!methods.includes(method)) return new MethodNotAllowedError(method, methods)
    if (new URLSearchParams(url.split('?')[1]).has('j'))
      return new InvalidRequestError([
        { path: '/query/j', message: 'asks for JSONP, which is off', code: 'invalid' },
      ])
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
  return allowed.includes(origin) || (URL.canParse(origin) && new URL(origin).host === headers.host)
}
