/**
 * Signs read-only tokens with the key that clients’ tokens are checked by (`JWT_SECRET`). They say what they may show and
 * when they end, and nothing about whoever asked for them.
 */
import { SignJWT } from 'jose'
import type { JwtConfig } from '../config/config.js'

export interface WatchClaims {
  chapters?: number[]
  courses?: number[]
  /** Of the courses only this owner’s chapters. */
  courses_of?: number
  answers?: true
}

export interface SignedToken {
  token: string
  /** Milliseconds since the epoch. */
  expiresAt: number
}

export type TokenSigner = (claims: WatchClaims, ttlS: number) => Promise<SignedToken>

/** @returns undefined where this server has no key to sign with */
export function createTokenSigner(jwt: JwtConfig | undefined, now: () => number): TokenSigner | undefined {
  if (jwt?.secret === undefined) return undefined
  const key = new TextEncoder().encode(jwt.secret)
  return async (claims, ttlS) => {
    const nowS = Math.floor(now() / 1000)
    const expiresS = nowS + ttlS
    const token = new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuedAt(nowS)
      .setExpirationTime(expiresS)
    // What is asked of every token is asked of these, too.
    if (jwt.issuer !== undefined) token.setIssuer(jwt.issuer)
    if (jwt.audience !== undefined) token.setAudience(jwt.audience)
    return { token: await token.sign(key), expiresAt: expiresS * 1000 }
  }
}
