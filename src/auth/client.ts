/** Whom a limit is counted for: the token’s `sub`, else the address. The same over HTTP and over Socket.IO. */
import { normalizeIP } from '@fastify/rate-limit'
import type { Identity } from './access.js'

/** A forwarded address can be any text. */
const MAX_ADDRESS_LENGTH = 64

export function clientOf({ subject }: Pick<Identity, 'subject'>, address: string): string {
  return subject === undefined
    ? `address:${normalizeIP(address.slice(0, MAX_ADDRESS_LENGTH))}`
    : `sub:${subject}`
}
