/**
 * OpenAPI from the routes’ own schemas, with pages to try them at `/docs`. Registered before the routes.
 */
import { readFileSync } from 'node:fs'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { SECURITY_SCHEMES } from './auth.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/**
 * The plugin’s own (`staticCSP: true`) forbids the inline styles of its pages, and upgrades what they load to
 * https, which breaks them on plain http from another computer.
 */
const CONTENT_SECURITY_POLICY = {
  'default-src': "'self'",
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'", 'data:'],
  'object-src': "'none'",
  'base-uri': "'self'",
  'frame-ancestors': "'self'",
}

export const openapi = fp(
  async (app) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'chaptercast',
          version,
          description:
            'Create a chapter, have its content generated elsewhere, and hear live what happens. Events also come ' +
            'over Socket.IO, in rooms named `chapter_{id}`.',
          license: { name: 'MIT', identifier: 'MIT' },
        },
        components: { securitySchemes: SECURITY_SCHEMES },
        tags: [
          { name: 'Chapters', description: 'For clients' },
          { name: 'Courses', description: 'For clients: many chapters at once' },
          { name: 'Webhooks', description: 'For workers: n8n, the generator' },
          { name: 'Operating', description: 'For whoever runs it' },
        ],
      },
      refResolver: {
        buildLocalReference: (json, _baseUri, _fragment, index) =>
          typeof json.$id === 'string' ? json.$id : `schema-${index}`,
      },
    })
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: CONTENT_SECURITY_POLICY,
      // Nobody else is told of this server.
      uiConfig: { validatorUrl: null },
    })
  },
  { name: 'openapi' },
)
