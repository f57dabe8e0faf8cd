/**
 * Short-lived tokens that may read and nothing else, made by this server for those whose chapters they show.
 */
import { type Static, Type } from '@sinclair/typebox'
import { Instant } from './scalar.js'

export const WATCH_TOKEN_TTL_S = { min: 60, default: 3600, max: 86_400 } as const

export const WatchTokenRequest = Type.Object(
  {
    ttl_s: Type.Optional(
      Type.Integer({
        minimum: WATCH_TOKEN_TTL_S.min,
        maximum: WATCH_TOKEN_TTL_S.max,
        default: WATCH_TOKEN_TTL_S.default,
        description: 'How long it is good, in seconds',
      }),
    ),
    answers: Type.Optional(
      Type.Boolean({ default: false, description: 'Whether it also shows answers and earlier revisions' }),
    ),
  },
  { additionalProperties: false, examples: [{ ttl_s: 3600 }] },
)
export type WatchTokenRequest = Static<typeof WatchTokenRequest>

export const WatchToken = Type.Object(
  { token: Type.String(), expires_at: Instant },
  { examples: [{ token: 'eyJhbGciOiJIUzI1NiJ9…', expires_at: '2026-01-31T10:00:00.000Z' }] },
)
export type WatchToken = Static<typeof WatchToken>
