/**
 * Whether this node is alive, and whether it should be sent work. A shared dependency that is down is told of
 * (`degraded`) but does not take the node out: taking every node out helps nobody.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { within } from '../async/deadline.js'
import { stringEnum } from '../contract/scalar.js'

export type DependencyState = 'ok' | 'degraded'

export interface HealthRoutesOptions {
  isDraining: () => boolean
  /** By name; each resolves when its dependency answers. */
  probes: Record<string, () => Promise<void>>
  /** By name; what is wrong with a dependency that is not asked for this, as it last showed. */
  troubles?: Record<string, () => string | undefined>
}

const PROBE_TIMEOUT_MS = 1000

const Ready = Type.Object({
  status: stringEnum(['ready', 'draining']),
  dependencies: Type.Record(Type.String(), stringEnum(['ok', 'degraded'])),
  details: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description: 'Of a degraded `dispatch`: what the service at DISPATCH_URL last answered',
    }),
  ),
})

export const healthRoutes: FastifyPluginAsyncTypebox<HealthRoutesOptions> = async (app, options) => {
  const { isDraining, probes, troubles = {} } = options

  app.get(
    '/healthz',
    {
      config: { whileDraining: true },
      logLevel: 'warn',
      schema: {
        operationId: 'healthz',
        tags: ['Operating'],
        summary: 'The process is alive',
        response: { 200: Type.Object({ status: Type.Literal('ok') }) },
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  app.get(
    '/readyz',
    {
      config: { whileDraining: true },
      logLevel: 'warn',
      schema: {
        operationId: 'readyz',
        tags: ['Operating'],
        summary: 'The node takes requests',
        response: { 200: Ready, 503: { ...Ready, description: 'Shutting down' } },
      },
    },
    async (_request, reply) => {
      const states = await Promise.all(
        Object.entries(probes).map(
          async ([name, probe]): Promise<[string, DependencyState]> => [name, await stateOf(probe)],
        ),
      )
      const details = Object.entries(troubles).flatMap(([name, trouble]) => {
        const said = trouble()
        states.push([name, said === undefined ? 'ok' : 'degraded'])
        return said === undefined ? [] : [[name, said] as const]
      })
      const draining = isDraining()
      return reply.code(draining ? 503 : 200).send({
        status: draining ? ('draining' as const) : ('ready' as const),
        dependencies: Object.fromEntries(states),
        ...(details.length === 0 ? {} : { details: Object.fromEntries(details) }),
      })
    },
  )
}

export async function stateOf(probe: () => Promise<void>): Promise<DependencyState> {
  return within(PROBE_TIMEOUT_MS, probe(), 'the dependency').then(
    () => 'ok',
    () => 'degraded',
  )
}
