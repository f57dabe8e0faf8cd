/**
 * The tables of `docs/wire.md` and the READMEs, from the contract’s schemas and the routes.
 */
import type { TSchema } from '@sinclair/typebox'
import { END_EVENTS, EVENT_NAMES, EVENTS } from '../contract/event.js'
import { DEAD_LETTER_TOPIC, DeadLetter, GenerationMessage, TOPICS } from '../contract/generation.js'
import { JOB_KINDS } from '../contract/job.js'
import { Notice } from '../contract/notice.js'
import { ERRORS, VIOLATION_CODES } from '../contract/problem.js'
import { eventShapeName, SHAPES, shapeName } from '../contract/shapes.js'
import { CLIENT_MESSAGES, SERVER_MESSAGES } from '../contract/socket-messages.js'

export interface SettingLine {
  name: string
  about: string
  value: string
}

const KIND_NAMES = new RegExp(`\\b(${JOB_KINDS.join('|')})\\b`, 'g')
const code = (text: string) => `\`${text}\``
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function table(heads: string[], rows: string[][]): string {
  return [
    `| ${heads.join(' | ')} |`,
    `|${'---|'.repeat(heads.length)}`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n')
}

export function settingsTable(settings: SettingLine[]): string {
  return table(
    ['Name', 'Default', 'Meaning'],
    settings.map(({ name, value, about }) => [code(name), value === '' ? '' : code(value), about]),
  )
}

/** Settings that change what crosses the boundary, rather than how the server is run. */
const OF_THE_WIRE =
  /^(PUBLIC_URL|KAFKA_TOPIC_PREFIX|GENERATION_|DISPATCH|NOTIFY_|WEBHOOK_|JWT_|CORS_ORIGIN|EVENT_RETENTION_MS|SESSION_TTL_MS|MAX_ROOMS|RATE_LIMIT_|DEFAULT_LOCALE|QUIZ_)/

type Fields = Record<string, TSchema>

/** `{title, description?}` */
function fieldList({ properties = {}, required = [] }: TSchema): string {
  const names = Object.keys(properties as Fields)
  return code(`{${names.map((name) => (required.includes(name) ? name : `${name}?`)).join(', ')}}`)
}

function typeOf(schema: TSchema): string {
  const types = [schema.type].flat().filter((type) => typeof type === 'string')
  const orNull = types.includes('null') ? ' or null' : ''
  const name = shapeName(schema)
  if (name !== undefined && schema.enum === undefined) return `[${name}](#${name.toLowerCase()})${orNull}`
  if (schema.const !== undefined) return code(JSON.stringify(schema.const))
  if (Array.isArray(schema.enum))
    return schema.enum.map((value) => (value === null ? 'null' : code(String(value)))).join(', ')
  if (schema.items !== undefined && types.includes('array')) return `list of ${typeOf(schema.items)}${orNull}`
  return types.length === 0 ? 'any' : types.join(' or ')
}

function boundsOf(schema: TSchema): string {
  const bounds: string[] = []
  const range = (low: unknown, high: unknown, what: string) => {
    const isOpen = high === undefined || high === Number.MAX_SAFE_INTEGER
    if (low !== undefined && !isOpen) bounds.push(`${low} to ${high}${what}`)
    else if (!isOpen) bounds.push(`at most ${high}${what}`)
    else if (low !== undefined && Number(low) > 0 && what !== '') bounds.push(`at least ${low}${what}`)
  }
  range(schema.minimum, schema.maximum, '')
  range(schema.minLength, schema.maxLength, ' characters')
  range(schema.minItems, schema.maxItems, ' items')
  if (schema.default !== undefined && schema.default !== '')
    bounds.push(`default ${code(String(schema.default))}`)
  return bounds.join(', ')
}

function fieldRows({ properties = {}, required = [] }: TSchema): string[][] {
  return Object.entries(properties as Fields).map(([name, schema]) => {
    const about = [schema.description, boundsOf(schema)].filter(Boolean).join('; ')
    return [code(required.includes(name) ? name : `${name}?`), cell(typeOf(schema)), cell(about)]
  })
}

const FIELD_HEADS = ['Field', 'Type', '']

interface Route {
  summary?: string
  tags?: string[]
  parameters?: { name: string; in: string; required?: boolean }[]
  requestBody?: { content: Record<string, { schema: { $ref?: string; anyOf?: { $ref?: string }[] } }> }
  responses?: Record<string, { content?: Record<string, { schema?: { $ref?: string } }> }>
}

const nameIn = ($ref: string | undefined) => $ref?.split('/').at(-1) ?? ''
const link = (name: string) => (name === '' ? '' : `[${name}](#${name.toLowerCase()})`)

function routeRows(document: object, tags: string[]): string[][] {
  const { paths } = document as { paths: Record<string, Record<string, Route>> }
  const rows = new Map<string, string[]>()
  for (const [path, methods] of Object.entries(paths))
    for (const [method, route] of Object.entries(methods)) {
      if (!route.tags?.some((tag) => tags.includes(tag))) continue
      const query = (route.parameters ?? [])
        .filter(({ in: place, name }) => place === 'query' && !['job_id', 'attempt'].includes(name))
        .map(({ name }) => `${name}=`)
      const body = route.requestBody?.content['application/json']?.schema
      const bodies = [body, ...(body?.anyOf ?? [])].map((one) => link(nameIn(one?.$ref))).filter(Boolean)
      const answers = new Map<string, string[]>()
      for (const [status, { content }] of Object.entries(route.responses ?? {})) {
        const shape = link(nameIn(content?.['application/json']?.schema?.$ref))
        if (Number(status) < 300) answers.set(shape, [...(answers.get(shape) ?? []), status])
      }
      const isStream = Object.values(route.responses ?? {}).some(
        ({ content }) => content?.['text/event-stream'],
      )
      const listed = [...answers].map(([shape, statuses]) => `${statuses.join(' or ')} ${shape}`.trim())
      const success = `${listed.join(', ')}${isStream ? ', or a stream' : ''}`
      const request = `${method.toUpperCase()} ${path}${query.length > 0 ? `?${query.join('&')}` : ''}`
      const row = [code(request), bodies.join(' or '), success, cell(route.summary ?? '')]
      // Routes that differ in their kind only, and in nothing that is shown, are one line.
      const general = row.map((text) => text.replaceAll(KIND_NAMES, '{kind}'))
      const key = general.join(' | ')
      rows.set(key, rows.has(key) ? general : row)
    }
  return [...rows.values()]
}

/** Events that differ in their kind only are one line. */
function eventRows(): string[][] {
  const rows = new Map<string, string>()
  for (const [name, { properties, description }] of Object.entries(EVENTS)) {
    const payload = Object.keys(properties).map(code)
    const ends = (END_EVENTS as readonly string[]).includes(name) ? '; ends a run' : ''
    const cells = `${description}${ends} | ${payload.join(', ')}`
    rows.set(cells, rows.has(cells) ? code(`{kind}_${name.split('_').at(-1)}`) : code(name))
  }
  return [...rows].map(([cells, name]) => [name, cells])
}

function messageRows(): string[][] {
  return Object.entries(DeadLetter.properties).map(([name, schema]: [string, TSchema]) => {
    const kind = Array.isArray(schema.enum)
      ? schema.enum.map((value) => code(String(value))).join(', ')
      : [schema.type].flat().join(' or ')
    const only = name in GenerationMessage.properties ? '' : 'Dead letters only. '
    const about =
      schema.properties === undefined
        ? (schema.description ?? '')
        : Object.entries(schema.properties as Fields)
            .map(([inner, { description }]) => `${code(inner)}: ${description}`)
            .join('; ')
    return [code(name), kind, cell(`${only}${about}`.trim())]
  })
}

/** By the names that the rest of the document links to. */
function shapes(): string {
  const events = new Set(EVENT_NAMES.map(eventShapeName))
  return Object.entries(SHAPES)
    .filter(([name]) => !events.has(name) && name !== 'LoggedEvent')
    .map(([name, schema]) => {
      const { description, additionalProperties } = schema
      const closed = additionalProperties === false ? 'Other fields are refused.' : ''
      const about = [description, closed].filter(Boolean).join('. ')
      return [`### ${name}`, about, table(FIELD_HEADS, fieldRows(schema))].filter(Boolean).join('\n\n')
    })
    .join('\n\n')
}

/** By the name of the place that each fills. */
export function wireTables(openApi: object, settings: SettingLine[]): Record<string, string> {
  const heads = ['Request', 'Body', 'Success', '']
  const kafka = [
    table(
      ['Topic', 'Kind of the job'],
      [
        ...Object.entries(TOPICS).map(([kind, topic]) => [code(topic), code(kind)]),
        [code(DEAD_LETTER_TOPIC), 'any; it failed for good'],
      ],
    ),
    table(['Field of the value', '', ''], messageRows()),
  ]
  return {
    'client-routes': table(heads, routeRows(openApi, ['Chapters', 'Courses', 'Tokens'])),
    'worker-routes': table(heads, routeRows(openApi, ['Webhooks'])),
    'operating-routes': table(heads, routeRows(openApi, ['Operating'])),
    'client-messages': table(
      ['A client sends', 'Payload', 'Acknowledged with `ok: true` and', ''],
      Object.entries(CLIENT_MESSAGES).map(([name, { payload, answer, about }]) => [
        code(name),
        fieldList(payload),
        fieldList(answer),
        cell(about),
      ]),
    ),
    'server-messages': table(
      ['The server sends', 'Payload', 'When'],
      Object.entries(SERVER_MESSAGES).map(([name, { payload, about }]) => [
        code(name),
        fieldList(payload),
        cell(about),
      ]),
    ),
    events: table(['Event', 'When', 'Payload'], eventRows()),
    kafka: kafka.join('\n\n'),
    notice: table(FIELD_HEADS, [
      ...fieldRows(Notice).filter(([name]) => name !== '`data`'),
      ...fieldRows(Notice.properties.data).map(([name = '', ...rest]) => [
        name.replace('`', '`data.'),
        ...rest,
      ]),
    ]),
    errors: table(
      ['Code', 'Status', ''],
      Object.entries(ERRORS).map(([name, { status, title }]) => [code(name), String(status), title]),
    ),
    violations: table(
      ['`errors[].code`', 'What is wrong'],
      Object.entries(VIOLATION_CODES).map(([name, about]) => [code(name), cell(about)]),
    ),
    'wire-settings': settingsTable(settings.filter(({ name }) => OF_THE_WIRE.test(name))),
    shapes: shapes(),
  }
}
