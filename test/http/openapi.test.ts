/**
 * The OpenAPI document: complete, true to its own schemas, and the one that is committed.
 */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import t from 'tap'
import { ERRORS } from '../../src/contract/problem.js'
import { buildTestApp } from '../support/app.js'

const { app } = await buildTestApp(t)

interface Content {
  schema?: Record<string, unknown>
  example?: unknown
  examples?: Record<string, { value: unknown }>
}
interface Operation {
  operationId: string
  summary: string
  security?: Record<string, string[]>[]
  requestBody?: { required?: boolean; content: Record<string, Content> }
  responses: Record<string, { description: string; content?: Record<string, Content> }>
}
interface Document {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  servers: { url: string }[]
  components: { schemas: Record<string, object>; securitySchemes: Record<string, object> }
}

const document = (await app.inject('/openapi.json')).json<Document>()
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    operation,
  })),
)

const kinds = ['concept', 'exercise', 'quiz']
const ROUTES: Record<string, string[]> = {
  'POST /v1/chapter': ['200', '201', '400', '413', '415', '422', '503'],
  'GET /v1/chapter': ['200', '400', '503'],
  'GET /v1/chapter/{id}': ['200', '400', '404', '503'],
  'GET /v1/chapter/{id}/learning': ['200', '400', '404', '503'],
  'GET /v1/chapter/{id}/events': ['200', '204', '400', '404', '503'],
  'POST /v1/chapter/{id}/retry': ['202', '400', '404', '409', '503'],
  'POST /v1/chapter/{id}/cancel': ['200', '202', '400', '404', '409', '503'],
  'POST /v1/course/{id}/chapters': ['200', '201', '400', '413', '415', '422', '429', '503'],
  'GET /v1/course/{id}': ['200', '400', '403', '409', '503'],
  'POST /v1/chapter/{id}/{kind}/regenerate': ['202', '400', '403', '404', '409', '415', '503'],
  'GET /v1/chapter/{id}/{kind}/revisions': ['200', '400', '403', '404', '503'],
  'GET /v1/chapter/{id}/{kind}/revisions/{revision}': ['200', '400', '403', '404', '503'],
  'POST /v1/chapter/{id}/{kind}/restore': ['200', '400', '403', '404', '409', '503'],
  'DELETE /v1/chapter/{id}': ['204', '400', '403', '404', '503'],
  'POST /v1/chapter/{id}/watch-token': ['201', '400', '403', '404', '409', '503'],
  'POST /v1/course/{id}/watch-token': ['201', '400', '403', '409', '503'],
  ...Object.fromEntries(
    [
      ...kinds.flatMap((kind) => [`${kind}-finish`, `${kind}-start`, `${kind}-fail`, `${kind}-partial`]),
      'progress',
    ].map((name) => [`POST /v1/chapter/{id}/${name}`, ['200', '400', '404', '413', '415', '503']]),
  ),
  'GET /v1/admin/stuck': ['200', '400', '401', '403', '503'],
  'GET /v1/admin/chapter/{id}': ['200', '400', '401', '403', '404', '503'],
  'POST /v1/admin/chapter/{id}/{kind}/end': ['202', '400', '401', '403', '404', '409', '415', '503'],
  'POST /v1/admin/chapter/{id}/{kind}/restart': ['202', '400', '401', '403', '404', '409', '503'],
  'GET /v1/admin/dead-letters': ['200', '400', '401', '403', '503'],
  'POST /v1/admin/dead-letters/redrive': ['202', '400', '401', '403', '415', '503'],
  'GET /v1/admin/redrives': ['200', '400', '401', '403', '503'],
  'GET /v1/admin/redrives/{id}': ['200', '400', '401', '403', '404', '503'],
  'DELETE /v1/admin/redrives/{id}': ['200', '400', '401', '403', '404', '503'],
  'GET /v1/admin/kinds': ['200', '401', '403', '503'],
  'POST /v1/admin/kinds/{kind}/pause': ['200', '400', '401', '403', '415', '503'],
  'POST /v1/admin/kinds/{kind}/resume': ['200', '400', '401', '403', '503'],
  'GET /v1/admin/deliveries': ['200', '400', '401', '403', '503'],
  'POST /v1/admin/deliveries/{chapter_id}/{seq}/resend': ['202', '400', '401', '403', '404', '409', '503'],
  'GET /v1/admin/audit': ['200', '400', '401', '403', '503'],
  'GET /healthz': ['200'],
  'GET /readyz': ['200', '503'],
  'GET /metrics': ['200'],
  'GET /openapi.json': ['200'],
  'GET /asyncapi.json': ['200'],
}

t.test('every route of the contract is there, with every answer it can give', async (t) => {
  t.match(document.openapi, /^3\.1/)
  for (const [name, statuses] of Object.entries(ROUTES)) {
    const operation = operations.find((operation) => operation.name === name)?.operation
    if (operation === undefined) {
      t.fail(`${name} is missing`)
      continue
    }
    const documented = Object.keys(operation.responses)
    for (const status of statuses) t.ok(documented.includes(status), `${name} tells of ${status}`)
    t.match(operation.summary, /\S/)
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      t.match(description, /\S/, `${name} ${status} has a description`)
      if (Number(status) >= 400 && !(name === 'GET /readyz' && status === '503'))
        t.same(Object.keys(content ?? {}), ['application/problem+json'])
    }
  }
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length, 'operation ids are unique')
  t.same(
    operations.map(({ name }) => name).filter((name) => ROUTES[name] === undefined),
    [],
    'and no others',
  )
})

t.test('every body that a caller sends has an example, and every example is valid', async (t) => {
  const ajv = new Ajv2020({ strict: false })
  ajvFormats.default(ajv)
  ajv.addSchema(document, 'openapi')
  const checked = (about: string, { schema }: Content, examples: unknown[]) => {
    const rooted = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'))
    for (const example of examples) t.ok(ajv.validate(rooted, example), `${about}: ${ajv.errorsText()}`)
  }
  const examplesOf = ({ schema, example, examples }: Content): unknown[] => [
    ...((schema?.examples as unknown[] | undefined) ?? []),
    ...(schema?.example === undefined ? [] : [schema.example]),
    ...(example === undefined ? [] : [example]),
    ...Object.values(examples ?? {}).map(({ value }) => value),
  ]
  for (const { name, operation } of operations) {
    const body = operation.requestBody?.content['application/json']
    if (body !== undefined) {
      t.ok(examplesOf(body).length > 0, `${name} has an example body`)
      checked(name, body, examplesOf(body))
    }
    for (const [status, { content }] of Object.entries(operation.responses))
      for (const inner of Object.values(content ?? {})) checked(`${name} ${status}`, inner, examplesOf(inner))
  }
})

t.test('the guide’s examples are accepted by the server itself', async (t) => {
  const exampleOf = (name: string) => {
    const content = operations.find((operation) => operation.name === name)?.operation.requestBody?.content
    const { schema, example, examples } = content?.['application/json'] ?? {}
    return (
      (schema?.examples as object[] | undefined)?.[0] ?? example ?? Object.values(examples ?? {})[0]?.value
    )
  }
  const created = await app.inject({
    method: 'POST',
    url: '/v1/chapter/',
    payload: exampleOf('POST /v1/chapter') as object,
  })
  t.equal(created.statusCode, 201)
  const { chapter_id } = created.json()
  for (const name of [
    ...kinds.map((kind) => `${kind}-fail`),
    'progress',
    ...kinds.map((kind) => `${kind}-finish`),
  ]) {
    const url = `/v1/chapter/${chapter_id}/${name}`
    const payload = exampleOf(`POST /v1/chapter/{id}/${name}`) as object
    const answer = await app.inject({ method: 'POST', url, payload })
    t.equal(answer.statusCode, 200, `${name}: ${answer.payload}`)
  }
})

t.test('every documented error status belongs to a code', async (t) => {
  const known = new Set<number>(Object.values(ERRORS).map(({ status }) => status))
  for (const { name, operation } of operations)
    for (const status of Object.keys(operation.responses).map(Number))
      if (status >= 400) t.ok(known.has(status), `${name} ${status}`)
})

t.test('references lead somewhere', async (t) => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
    ([, target]) => target as string,
  )
  t.ok(references.length > 0)
  for (const target of new Set(references)) {
    const name = /^#\/components\/schemas\/(.+)$/.exec(target)?.[1]
    t.ok(name !== undefined && document.components.schemas[name] !== undefined, target)
  }
})

t.test('every object has a name and is described once', async (t) => {
  const inlined: string[] = []
  const look = (value: unknown, at: string) => {
    if (typeof value !== 'object' || value === null) return
    if (/\/examples?$/.test(at)) return
    const { properties, enum: values } = value as { properties?: unknown; enum?: unknown }
    if (typeof properties === 'object' || Array.isArray(values)) inlined.push(at)
    for (const [key, inner] of Object.entries(value)) look(inner, `${at}/${key}`)
  }
  look(document.paths, '')
  t.same(inlined, [])
  const used = new Set(JSON.stringify(document).match(/(?<="#\/components\/schemas\/)\w+/g))
  t.same(
    Object.keys(document.components.schemas).filter((name) => !used.has(name)),
    [],
    'and none that is not referred to',
  )
})

t.test('every instant is a date-time', async (t) => {
  const instants: [string, { format?: string }][] = []
  const look = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return
    const { properties, ...rest } = value as { properties?: Record<string, { format?: string }> }
    for (const [name, schema] of Object.entries(properties ?? {})) {
      if (/(^|_)at$/.test(name)) instants.push([name, schema])
      look(schema)
    }
    for (const inner of Object.values(rest)) look(inner)
  }
  look(document.components.schemas)
  t.ok(instants.length > 20)
  for (const [name, { format }] of instants) t.equal(format, 'date-time', name)
})

t.test('streams are told of beside lists, servers and credentials are named', async (t) => {
  for (const path of ['/v1/chapter/{id}/events', '/v1/course/{id}']) {
    const content = document.paths[path]?.get?.responses[200]?.content ?? {}
    t.same(Object.keys(content), ['application/json', 'text/event-stream'])
    t.match(content['text/event-stream'], { schema: { type: 'string' }, example: /event: / })
  }
  t.same(
    document.servers.map(({ url }) => url),
    ['/'],
  )
  for (const { name, operation } of operations)
    for (const scheme of (operation.security ?? []).flatMap(Object.keys))
      t.ok(scheme in document.components.securitySchemes, name)
  for (const { name, operation } of operations)
    if (name.includes('/v1/')) t.ok((operation.security ?? []).length > 0, `${name} names its credentials`)
})

t.test('a body of which nothing is needed may be left out', async (t) => {
  const optional = operations.filter(({ operation }) => operation.requestBody?.required === false)
  t.same(optional.map(({ operation }) => operation.operationId).sort(), [
    'createChapterWatchToken',
    'createCourseWatchToken',
    'endAttempt',
    'pauseKind',
    'regenerate',
  ])
})

t.test('src/contract/openapi.json is what the server says; if not, run: npm run generate', async (t) => {
  const committed = JSON.parse(
    readFileSync(new URL('../../src/contract/openapi.json', import.meta.url), 'utf8'),
  )
  t.same(committed, document)
})

t.test('/docs is a page', async (t) => {
  for (const path of ['/docs', '/docs/']) {
    const response = await app.inject(path)
    t.equal(response.statusCode, 200, path)
    t.match(response.headers['content-type'], /^text\/html/)
  }
  t.equal((await app.inject('/docs/yaml')).statusCode, 200)
})
