/**
 * What `/healthz` and `/readyz` say.
 */
import { Type } from '@sinclair/typebox'
import { stringEnum } from './scalar.js'

export const Alive = Type.Object({ status: Type.Literal('ok') })

export const DEPENDENCY_STATES = ['ok', 'degraded'] as const
export type DependencyState = (typeof DEPENDENCY_STATES)[number]

export const Ready = Type.Object({
  status: stringEnum(['ready', 'draining']),
  dependencies: Type.Record(Type.String(), stringEnum(DEPENDENCY_STATES)),
  details: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description: 'Of a degraded `dispatch`: what the service at DISPATCH_URL last answered',
    }),
  ),
})
