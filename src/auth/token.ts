/**
 * Clients’ tokens: JWTs signed with a shared key (`JWT_SECRET`) or with keys that their issuer publishes
 * (`JWT_JWKS_URL`). Algorithms are pinned to the kind of key, so neither `alg: none` nor a public key used as a
 * shared one gets through. A token must say when it ends (`exp`).
 *
 * Published keys that cannot be fetched are the server’s trouble and not the caller’s: `UnavailableError`. Those
 * fetched before serve on for `staleMs`.
 *
 * No error holds the token or its claims: errors are logged.
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import type { JwtConfig } from '../config/config.js'
import { isRecord } from '../contract/record.js'
import { isStorable } from '../contract/storable.js'
import { UnauthorizedError, UnavailableError } from '../errors.js'
import { accessFrom, type Identity } from './access.js'

/** @throws {UnauthorizedError | UnavailableError} */
export type TokenVerifier = (token: unknown) => Promise<Identity>

export interface TokenVerifierOptions {
  /** Milliseconds since the epoch. */
  now?: () => number
  /** By how much clocks may differ, s. A token ends that much after its `exp`, everywhere. */
  clockToleranceS?: number
  jwks?: Partial<JwksTimes>
}

/** All in milliseconds. */
export interface JwksTimes {
  /** Of one fetch. */
  timeoutMs: number
  /** Keys are fetched again when they are older, and for a key that is not among them. */
  maxAgeMs: number
  /** Least time between two fetches for keys that are not among them: anyone can name one. */
  cooldownMs: number
  /** After a failed fetch none is tried for this long. */
  pauseMs: number
  /** How long after the last good fetch the keys serve on while no other succeeds. */
  staleMs: number
}

const JWKS_TIMES: JwksTimes = {
  timeoutMs: 3000,
  maxAgeMs: 10 * 60_000,
  cooldownMs: 5000,
  pauseMs: 1000,
  staleMs: 60 * 60_000,
}
const SHARED_KEY_ALGORITHMS = ['HS256', 'HS384', 'HS512']
const PUBLIC_KEY_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]
const CLOCK_TOLERANCE_S = 5
/** What callers are told to wait while the keys cannot be fetched, s. */
const RETRY_AFTER_S = 5

export function createTokenVerifier(jwt: JwtConfig, options: TokenVerifierOptions = {}): TokenVerifier {
  const { now = Date.now, clockToleranceS = CLOCK_TOLERANCE_S } = options
  const key =
    jwt.jwksUrl === undefined
      ? new TextEncoder().encode(jwt.secret)
      : publishedKeys(new URL(jwt.jwksUrl), { ...JWKS_TIMES, ...options.jwks })
  const rules: JWTVerifyOptions = {
    algorithms: jwt.jwksUrl === undefined ? SHARED_KEY_ALGORITHMS : PUBLIC_KEY_ALGORITHMS,
    clockTolerance: clockToleranceS,
    requiredClaims: ['exp'],
    ...(jwt.issuer === undefined ? {} : { issuer: jwt.issuer }),
    ...(jwt.audience === undefined ? {} : { audience: jwt.audience }),
  }

  return async (token) => {
    if (typeof token !== 'string' || token === '') throw new UnauthorizedError('This needs a token')
    const claims = await claimsOf(token, key, { ...rules, currentDate: new Date(now()) }).catch(
      (error: unknown) => {
        throw refusalFrom(error)
      },
    )
    return {
      access: accessFrom(claims),
      subject: subjectOf(claims),
      expiresAt: ((claims.exp ?? 0) + clockToleranceS) * 1000,
    }
  }
}

/** Text, or a number, which some issuers write. Claims can hold anything, also what PostgreSQL cannot keep. */
function subjectOf({ sub }: { sub?: unknown }): string | undefined {
  if (sub === undefined) return undefined
  if (typeof sub === 'string' && isStorable(sub)) return sub
  if (typeof sub === 'number' && Number.isFinite(sub)) return String(sub)
  throw new UnauthorizedError('The token’s `sub` must be text that can be stored')
}

async function claimsOf(
  token: string,
  key: Uint8Array | JWTVerifyGetKey,
  rules: JWTVerifyOptions,
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, key, rules)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // The token does not say which of several keys it is signed with.
    for await (const candidate of error) {
      const claims = await jwtVerify(token, candidate, rules).then(
        ({ payload }) => payload,
        (reason: unknown) => {
          // Not signed with this one, or this one cannot be used: it may be another’s.
          const isSigned =
            reason instanceof errors.JOSEError && !(reason instanceof errors.JWSSignatureVerificationFailed)
          if (isSigned) throw reason
          return undefined
        },
      )
      if (claims !== undefined) return claims
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

/** Told apart by class; without the error itself, whose `payload` holds the claims. */
function refusalFrom(error: unknown): UnauthorizedError | UnavailableError {
  if (error instanceof UnavailableError || error instanceof UnauthorizedError) return error
  if (error instanceof errors.JWTExpired)
    return new UnauthorizedError('The token has expired; get a new one', 'token_expired')
  if (error instanceof errors.JWTClaimValidationFailed)
    return new UnauthorizedError(
      error.claim === 'nbf'
        ? 'The token is not valid yet'
        : `The token’s \`${error.claim}\` ${error.reason === 'missing' ? 'is missing' : 'is not accepted here'}`,
    )
  if (error instanceof errors.JOSEAlgNotAllowed)
    return new UnauthorizedError('The token’s algorithm is not accepted here')
  if (error instanceof errors.JWKSNoMatchingKey)
    return new UnauthorizedError('The token is signed with a key that its issuer does not publish')
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return new UnauthorizedError('The token’s signature is not good')
  return new UnauthorizedError('This is not a token that can be verified here')
}

/**
 * jose’s own set of remote keys. Falls back to the last known ones while no newer ones can be fetched. A published key
 * that cannot be used is as good as not published: it concerns the tokens that are signed with it, and no others.
 */
function publishedKeys(url: URL, times: JwksTimes): JWTVerifyGetKey {
  let pausedUntil = Number.NEGATIVE_INFINITY
  let fetchedAt = Number.NEGATIVE_INFINITY
  let isAway = false
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: times.timeoutMs,
    cacheMaxAge: times.maxAgeMs,
    cooldownDuration: times.cooldownMs,
    [customFetch]: async (...request) => {
      if (performance.now() < pausedUntil) throw new Error('A fetch of the keys failed a moment ago')
      try {
        const keys = await fetchKeys(...request)
        isAway = false
        fetchedAt = performance.now()
        return Response.json({ keys })
      } catch (error) {
        isAway = true
        pausedUntil = performance.now() + times.pauseMs
        throw error
      }
    },
  })

  return async (header, input) => {
    try {
      return await remote(header, input)
    } catch (error) {
      if (isAboutToken(error)) throw error
      if (!isAway) throw unusableKey()
      const known = remote.jwks()
      if (known !== undefined && performance.now() < fetchedAt + times.staleMs) {
        try {
          return await createLocalJWKSet(known)(header, input)
        } catch (reason) {
          if (!isAboutToken(reason)) throw unusableKey()
          // A key that is not known may be a new one.
          if (!(reason instanceof errors.JWKSNoMatchingKey)) throw reason
        }
      }
      throw new UnavailableError('The keys that tokens are signed with cannot be fetched', {
        cause: error,
        retryAfterS: RETRY_AFTER_S,
      })
    }
  }
}

/** @throws when the issuer does not answer with a list of keys; entries that are not keys are ignored */
async function fetchKeys(...request: Parameters<typeof fetch>): Promise<object[]> {
  const response = await fetch(...request)
  const { keys } = ((await response.json()) ?? {}) as { keys?: unknown }
  if (!response.ok || !Array.isArray(keys))
    throw new Error(`The issuer’s keys cannot be read (${response.status})`)
  return keys.filter(isRecord)
}

function unusableKey(): UnauthorizedError {
  return new UnauthorizedError('The token is signed with a key that cannot be used here')
}

/** Rather than about fetching or reading the keys. */
function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  )
}
