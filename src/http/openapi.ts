/**
 * OpenAPI from the routes’ own schemas, with pages to try them at `/docs`. Registered before the routes.
 *
 * The documents of the wire are at `/openapi.json` and `/asyncapi.json`. In both a shape that has a name (see
 * `contract/shapes.ts`) is described once and referred to everywhere else. Routes keep their shapes whole, because
 * validation and serialisation need no references: names are put in when the document is made.
 */
import { readFileSync } from 'node:fs'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { componentsOf, referenceTo, replaceShapes, SHAPES, VALUES } from '../contract/shapes.js'
import { SECURITY_SCHEMES } from './auth.js'
import { problems } from './responses.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

// The same folders from `src/http/` and from `dist/http/`.
const WEB = new URL('../../src/web/', import.meta.url)
/** `npm run generate` writes it. */
const ASYNCAPI = new URL('../../src/contract/asyncapi.json', import.meta.url)

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

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route also answers with server-sent events: what the documents say of them. */
    eventStream?: { description: string; example: string }
  }
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
            'over Socket.IO, in rooms named `chapter_{id}` and `course_{id}`: see `/asyncapi.json`.',
          contact: { name: 'The chaptercast authors' },
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [{ url: '/', description: 'The server that this document came from' }],
        components: { securitySchemes: SECURITY_SCHEMES },
        // Routes that need credentials say so themselves.
        security: [],
        tags: [
          { name: 'Chapters', description: 'For clients' },
          { name: 'Courses', description: 'For clients: many chapters at once' },
          { name: 'Tokens', description: 'For clients: tokens that may only read' },
          { name: 'Webhooks', description: 'For workers: n8n, the generator' },
          { name: 'Operating', description: 'For whoever runs it' },
          {
            name: 'admin',
            description: 'For operators: what is stuck, what failed, and what they can do about it',
          },
        ],
      },
      transform: ({ schema, url, route }) => {
        const stream = route.config?.eventStream
        const named = markShapes(schema as Schema | undefined)
        return {
          schema: (stream === undefined ? named : addEventStream(named, stream)) as typeof schema,
          // Both are answered; the rules for documents want the one without.
          url: url.replace(/(.)\/$/, '$1'),
        }
      },
      transformObject: (made) => {
        if (!('openapiObject' in made)) return made.swaggerObject
        const document = made.openapiObject
        const paths = withOptionalBodies(withReferences(document.paths))
        const components = { ...document.components, schemas: componentsOf(paths) }
        return { ...document, paths, components } as typeof document
      },
      refResolver: {
        buildLocalReference: (json, _baseUri, _fragment, index) =>
          typeof json.$id === 'string' ? json.$id : `schema-${index}`,
      },
    })
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      logLevel: 'warn',
      staticCSP: CONTENT_SECURITY_POLICY,
      // Nobody else is told of this server.
      uiConfig: {
        validatorUrl: null,
        // Without the bar on top, which asks for the address of another document.
        layout: 'BaseLayout',
      },
      theme: {
        title: 'chaptercast API',
        css: [{ filename: 'chaptercast.css', content: readFileSync(new URL('docs.css', WEB), 'utf8') }],
        js: [{ filename: 'chaptercast.js', content: readFileSync(new URL('docs.js', WEB), 'utf8') }],
      },
    })

    const asyncapi = readFileSync(ASYNCAPI, 'utf8')
    const documents = {
      '/openapi.json': {
        operationId: 'getOpenApi',
        summary: 'This document (OpenAPI 3.1)',
        description: 'Made from the routes of the running server, so it is always that of its release.',
      },
      '/asyncapi.json': {
        operationId: 'getAsyncApi',
        summary: 'Sockets, Kafka and what goes out by HTTP (AsyncAPI 3)',
        description: 'Every event of Socket.IO, the messages to workers, dead letters and notices.',
      },
    }
    for (const [path, about] of Object.entries(documents))
      app.get(
        path,
        {
          schema: {
            ...about,
            tags: ['Operating'],
            response: {
              200: { type: 'object', additionalProperties: true, description: 'The document' },
              ...problems(403, 503),
            },
          },
        },
        async (_request, reply) =>
          reply
            .type('application/json; charset=utf-8')
            // Keep it, ask every time: it must be this release’s.
            .header('cache-control', 'no-cache')
            .send(path === '/openapi.json' ? JSON.stringify(app.swagger()) : asyncapi),
      )
  },
  { name: 'openapi' },
)

type Schema = Record<string, unknown>

/** Their own names are no shapes: each of their fields is a parameter. */
const PARAMETERS = ['params', 'querystring', 'headers']

/** Puts a title in place of each named shape: references that the plugin does not know it could not resolve. */
function markShapes(schema: Schema | undefined): Schema | undefined {
  if (schema === undefined) return undefined
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, replaceShapes(value, mark, PARAMETERS.includes(key))]),
  )
}

function mark(name: string, { description, examples, type, default: value }: Schema): Schema {
  return {
    title: name,
    type,
    ...(description === undefined ? {} : { description }),
    ...(examples === undefined ? {} : { examples }),
    ...(value === undefined ? {} : { default: value }),
  }
}

/** References in place of titles. */
function withReferences(value: unknown, key = ''): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => withReferences(item))
  const schema = value as Schema
  const { title } = schema
  if (typeof title === 'string' && (title in SHAPES || title in VALUES)) {
    // A media type, a parameter and an answer have a description of their own.
    const { description: _, ...rest } = schema
    return referenceTo(title, key === 'schema' ? rest : schema)
  }
  return Object.fromEntries(
    Object.entries(schema).map(([name, item]) =>
      name === 'example' || name === 'examples' ? [name, item] : [name, withReferences(item, name)],
    ),
  )
}

/** A body that needs no field may be left out. */
function withOptionalBodies(paths: unknown): unknown {
  for (const methods of Object.values(paths as Record<string, Schema>))
    for (const operation of Object.values(methods)) {
      const body = (operation as { requestBody?: { required?: boolean; content: Record<string, Schema> } })
        .requestBody
      const { $ref } = (body?.content['application/json']?.schema ?? {}) as { $ref?: string }
      const { required, minProperties = 0 } = (SHAPES[$ref?.split('/').at(-1) ?? ''] ?? {}) as {
        required?: unknown[]
        minProperties?: number
      }
      const mayBeEmpty = (required ?? []).length === 0 && minProperties === 0
      if (body !== undefined && $ref !== undefined && mayBeEmpty) body.required = false
    }
  return paths
}

/** The same status with another media type. */
function addEventStream(
  schema: Schema | undefined,
  { description, example }: { description: string; example: string },
): Schema {
  const response = schema?.response as Record<string, Schema>
  const { description: about, ...list } = response[200] ?? {}
  return {
    ...schema,
    response: {
      ...response,
      200: {
        description: about ?? 'A list, or a stream when `text/event-stream` is asked for',
        content: {
          'application/json': { schema: list },
          'text/event-stream': { schema: { type: 'string', description }, example },
        },
      },
    },
  }
}
