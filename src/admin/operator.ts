/**
 * Operators have a token with role `admin`. Without client authentication, operators are clients on the same machine.
 *
 * That is judged by the connection’s own address, and never by what a header says. A proxy on this machine connects from
 * here too, so a request that came through one is refused. A page of another site in the operator’s own browser also
 * connects from here; browsers say so in `Origin`, and a name of another site that was made to lead here stands in `Host`.
 * Origins that `CORS_ORIGIN` lists by name may call.
 */
import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Config } from '../config/config.js'
import { ForbiddenError } from '../errors.js'
import type { ClientAuth } from '../http/auth.js'

export const LOOPBACK_ACTOR = 'loopback'

/** Headers that proxies add. */
const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via']
const LOOPBACK_ADDRESS = /^(?:::ffff:)?127(?:\.\d{1,3}){3}$|^::1$/i
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

/** Add it as an `onRequest` hook after `authenticate`. */
export function requireOperator(
  clients: Pick<ClientAuth, 'identityOf'>,
  corsOrigin: Config['corsOrigin'],
): onRequestHookHandler {
  return (request, _reply, done) => {
    const { access } = clients.identityOf(request)
    if (access.kind === 'admin') return done()
    if (access.kind !== 'anyone') return done(new ForbiddenError('This needs a token with role `admin`'))
    const problem = whyNotFromHere(request, corsOrigin)
    done(problem === undefined ? undefined : new ForbiddenError(problem))
  }
}

/** For the audit log. */
export function actorOf(clients: Pick<ClientAuth, 'identityOf'>, request: FastifyRequest): string {
  const { access, subject } = clients.identityOf(request)
  if (access.kind === 'anyone') return LOOPBACK_ACTOR
  return subject ?? 'a token without `sub`'
}

const SET_TOKENS = 'set JWT_SECRET or JWT_JWKS_URL, and use a token with role `admin`'

function whyNotFromHere({ raw }: FastifyRequest, corsOrigin: Config['corsOrigin']): string | undefined {
  const { headers, socket } = raw
  if (!LOOPBACK_ADDRESS.test(socket.remoteAddress ?? ''))
    return `Without client authentication this is answered only to this machine itself; from elsewhere, ${SET_TOKENS}`
  if (PROXY_HEADERS.some((name) => headers[name] !== undefined))
    return `This came through a proxy, and without client authentication nobody knows from whom; ${SET_TOKENS}`
  if (headers.host !== undefined && !LOOPBACK_HOST.test(headers.host))
    return `Without client authentication this is answered only at \`localhost\`; elsewhere, ${SET_TOKENS}`
  const { origin } = headers
  if (origin === undefined || isOwn(origin) || (corsOrigin !== '*' && corsOrigin.includes(origin)))
    return undefined
  return 'Without client authentication pages of other sites may not call this; CORS_ORIGIN may list them by name'
}

function isOwn(origin: string): boolean {
  return LOOPBACK_HOST.test(origin.replace(/^https?:\/\//, ''))
}
