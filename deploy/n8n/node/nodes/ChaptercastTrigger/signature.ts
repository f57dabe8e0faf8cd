/**
 * Standard Webhooks: `webhook-signature` holds one or more `v1,` signatures, each the HMAC-SHA256 of
 * `id.timestamp.body` in base64. Source: https://www.standardwebhooks.com.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** How far a timestamp may be off, so that an old request cannot be sent again later. */
const TOLERANCE_S = 300

export type Headers = Record<string, string | string[] | undefined>

/**
 * @param secrets one or several, separated by commas: `whsec_` and base64, or any text
 * @param now ms since the epoch
 */
export function isSigned(headers: Headers, body: Buffer | string, secrets: string, now: number): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') return false
  if (!/^\d+$/.test(timestamp) || Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE_S) return false
  const given = signatures
    .split(' ')
    .filter((each) => each.startsWith('v1,'))
    .map((each) => Buffer.from(each.slice(3), 'base64'))
  return secrets
    .split(',')
    .map((secret) => secret.trim())
    .filter((secret) => secret !== '')
    .some((secret) => {
      const expected = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.`).update(body).digest()
      return given.some((each) => each.length === expected.length && timingSafeEqual(each, expected))
    })
}

function keyOf(secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret)
}
