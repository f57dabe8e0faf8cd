/**
 * Credentials over HTTP: clients’ tokens and the webhooks’ secret, both as `Authorization: Bearer …`, checked before a
 * body is read. What is refused is answered 401 with `WWW-Authenticate` (RFC 6750). A token in an address is not
 * looked at: addresses are logged.
 */
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { ANYONE, type Identity } from '../auth/access.js'
import type { TokenVerifier } from '../auth/token.js'
import { bearerFrom, createSecretCheck } from '../auth/webhook-secret.js'
import type { Config } from '../config/config.js'
import { UnauthorizedError } from '../errors.js'

export interface ClientAuth {
  /** Add it as an `onRequest` hook to whatever asks for `identityOf`. */
  authenticate: onRequestHookHandler
  /** @throws {Error} when `authenticate` did not run: nothing is open by mistake */
  identityOf(request: object): Identity
  /** The clock that tokens are checked by, ms since the epoch. */
  now: () => number
}

/** @param verify undefined: clients need no token */
export function createClientAuth(verify: TokenVerifier | undefined, now: () => number): ClientAuth {
  const identities = new WeakMap<object, Identity>()
  return {
    now,
    authenticate(request, reply, done) {
      if (verify === undefined) {
        identities.set(request, ANYONE)
        return done()
      }
      identify(request, reply, verify).then((identity) => {
        identities.set(request, identity)
        done()
      }, done)
    },
    identityOf(request) {
      const identity = identities.get(request)
      if (identity === undefined) throw new Error('This request was not authenticated')
      return identity
    },
  }
}

/** @param secrets any of them is good; none: webhooks are open */
export function webhookAuth(secrets: readonly string[]): onRequestHookHandler {
  if (secrets.length === 0) return (_request, _reply, done) => done()
  const isSecret = createSecretCheck(secrets)
  return (request, reply, done) => {
    const given = bearerFrom(request.headers.authorization)
    if (isSecret(given)) return done()
    challenge(reply, given)
    done(
      new UnauthorizedError(
        given === undefined
          ? 'Webhooks need `Authorization: Bearer` and the webhook secret'
          : 'This is not the webhook secret',
      ),
    )
  }
}

/** What anyone may do with these settings, and how to close it; undefined when nothing is open. Said once, at start. */
export function whatIsOpen({
  webhookSecrets,
  jwt,
}: Pick<Config, 'webhookSecrets' | 'jwt'>): string | undefined {
  const open = [
    ...(jwt === undefined
      ? ['create, read and cancel any chapter (JWT_SECRET or JWT_JWKS_URL closes this)']
      : []),
    ...(webhookSecrets.length === 0 ? ['write any chapter’s content (WEBHOOK_SECRET closes this)'] : []),
  ]
  if (open.length === 0) return undefined
  return `Anyone who reaches this server may ${open.join(', and ')}`
}

/** For OpenAPI. */
export const SECURITY_SCHEMES = {
  clientToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'Needed when `JWT_SECRET` or `JWT_JWKS_URL` is set. `sub` is the owner id; `role: "admin"` may do anything; with ' +
      '`chapters` or `courses` (lists of ids) a token may read and stream those and nothing else. `exp` is required.',
  },
  webhookSecret: {
    type: 'http',
    scheme: 'bearer',
    description: 'Needed when `WEBHOOK_SECRET` is set: one of its secrets.',
  },
} as const

/** Either: whether credentials are needed is a setting. */
export const CLIENT_SECURITY = [{ clientToken: [] }, {}]
export const WEBHOOK_SECURITY = [{ webhookSecret: [] }, {}]

async function identify(
  request: FastifyRequest,
  reply: FastifyReply,
  verify: TokenVerifier,
): Promise<Identity> {
  const token = bearerFrom(request.headers.authorization)
  try {
    if (token !== undefined) return await verify(token)
    throw new UnauthorizedError('This needs a token: `Authorization: Bearer <token>`')
  } catch (error) {
    if (error instanceof UnauthorizedError) challenge(reply, token)
    throw error
  }
}

function challenge(reply: FastifyReply, given: string | undefined): void {
  const problem = given === undefined ? '' : ', error="invalid_token"'
  reply.header('www-authenticate', `Bearer realm="chaptercast"${problem}`)
}
