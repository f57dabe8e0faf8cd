/** Tokens for tests, as an issuer would sign them. */
import { SignJWT } from 'jose'

export const JWT_SECRET = 'a-shared-key-that-is-long-enough-for-hs512-which-wants-64-bytes-of-it'

export interface TokenOptions {
  /** Seconds from now; may be negative. `null`: it says nothing. */
  expiresInS?: number | null
  notBeforeInS?: number
  algorithm?: string
  key?: Parameters<SignJWT['sign']>[0]
  kid?: string
}

export async function signToken(
  claims: Record<string, unknown>,
  { expiresInS = 600, notBeforeInS, algorithm = 'HS256', key, kid }: TokenOptions = {},
): Promise<string> {
  const nowS = Date.now() / 1000
  const times = {
    ...(expiresInS === null ? {} : { exp: nowS + expiresInS }),
    ...(notBeforeInS === undefined ? {} : { nbf: nowS + notBeforeInS }),
  }
  return await new SignJWT({ ...claims, ...times })
    .setProtectedHeader({ alg: algorithm, ...(kid === undefined ? {} : { kid }) })
    .sign(key ?? new TextEncoder().encode(JWT_SECRET))
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
