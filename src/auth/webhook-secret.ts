/**
 * Whether a webhook’s caller knows the secret. Several are good at once, so that one can be rotated without a gap.
 * What is compared are digests, of one length, all of them, in constant time: neither how long a secret is, nor how
 * much of it was guessed, nor which one it was, shows in how long the answer takes.
 */
import { createHash, timingSafeEqual } from 'node:crypto'

/** @returns whether a text is one of `secrets`; `undefined` never is */
export function createSecretCheck(secrets: readonly string[]): (given: string | undefined) => boolean {
  // HTTP headers are bytes, which Node reads as Latin-1: given back as bytes they are what was sent.
  const good = secrets.map((secret) => digest(Buffer.from(secret, 'utf8')))
  return (given) => {
    if (given === undefined) return false
    const candidate = digest(Buffer.from(given, 'latin1'))
    let isGood = false
    for (const secret of good) isGood = timingSafeEqual(candidate, secret) || isGood
    return isGood
  }
}

/** What follows `Bearer` in an `Authorization` header (RFC 6750); undefined for anything else. */
export function bearerFrom(header: string | undefined): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(header ?? '')?.[1]
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}
