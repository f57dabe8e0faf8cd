/**
 * `/metrics`, and the time of every request.
 */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Metrics } from '../metrics.js'
import { problems } from './responses.js'

/** Streams are not requests that took long: they are left out. */
export function measureRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', (request, reply, done) => {
    if (!String(reply.getHeader('content-type')).startsWith('text/event-stream')) {
      const route = request.routeOptions.url ?? 'none'
      metrics.requestAnswered(route, request.method, reply.statusCode, reply.elapsedTime)
    }
    done()
  })
}

export const metricsRoute: FastifyPluginAsync<{ metrics: Metrics }> = async (app, { metrics }) => {
  app.get(
    '/metrics',
    {
      config: { whileClosing: true },
      logLevel: 'warn',
      schema: {
        operationId: 'metrics',
        tags: ['Operating'],
        summary: 'Numbers for Prometheus',
        description: 'In the text format, of this node only.',
        response: {
          200: { description: 'As text', content: { 'text/plain': { schema: { type: 'string' } } } },
          ...problems(403),
        },
      } as object,
    },
    async (_request, reply) => {
      const { text, type } = await metrics.scrape()
      return reply.type(type).send(text)
    },
  )
}
