/**
 * Whether this node is alive, and whether it should be sent work. A shared dependency that is down is told of
 * (`degraded`) but does not take the node out: taking every node out helps nobody.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { within } from '../async/deadline.js'
import { Alive, type DependencyState, Ready } from '../contract/health.js'
import { problems } from './responses.js'

export interface HealthRoutesOptions {
  isDraining: () => boolean
  /** By name; each resolves when its dependency answers. */
  probes: Record<string, () => Promise<void>>
  /** By name; what is wrong with a dependency that is not asked for this, as it last showed. */
  troubles?: Record<string, () => string | undefined>
}

const PROBE_TIMEOUT_MS = 1000

export const healthRoutes: FastifyPluginAsyncTypebox<HealthRoutesOptions> = async (app, options) => {
  const { isDraining, probes, troubles = {} } = options

  app.get(
    '/healthz',
    {
      config: { whileClosing: true },
      logLevel: 'warn',
      schema: {
        operationId: 'healthz',
        tags: ['Operating'],
        summary: 'The process is alive',
        description: 'Asks no dependency. For a liveness probe.',
        response: { 200: Alive, ...problems(403) },
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  app.get(
    '/readyz',
    {
      config: { whileClosing: true },
      logLevel: 'warn',
      schema: {
        operationId: 'readyz',
        tags: ['Operating'],
        summary: 'The node takes requests',
        description: '503 only while it shuts down. A dependency that is away is `degraded`, with 200.',
        response: { 200: Ready, 503: { ...Ready, description: 'Shutting down' }, ...problems(403) },
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
