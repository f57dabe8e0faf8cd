/**
 * Signatures of what this server sends, as https://www.standardwebhooks.com has them: HMAC-SHA256 over
 * `id.timestamp.body`. A receiver checks them with any library of that standard.
 */
import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'

/** The key in a secret: base64 behind `whsec_`, else the text itself. */
export function keyOf(secret: string): Buffer {
  return secret.startsWith(PREFIX)
    ? Buffer.from(secret.slice(PREFIX.length), 'base64')
    : Buffer.from(secret, 'utf8')
}

/**
 * @param id the same for every try of one message
 * @param sentAt of this try, ms since the epoch
 * @param keys one signature for each, so that a secret can be rotated; none: unsigned
 */
export function webhookHeaders(
  id: string,
  sentAt: number,
  body: string,
  keys: readonly Buffer[],
): Record<string, string> {
  const timestamp = String(Math.floor(sentAt / 1000))
  const signatures = keys.map(
    (key) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`,
  )
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    ...(signatures.length === 0 ? {} : { 'webhook-signature': signatures.join(' ') }),
  }
}
