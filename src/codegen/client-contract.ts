/**
 * The contract’s shapes as plain TypeScript: what the client package has of them, so that its users need no
 * TypeBox. A test compares both.
 */
import { readFileSync } from 'node:fs'
import { compile } from 'json-schema-to-typescript'
import { EVENT_NAMES, EVENTS } from '../contract/event.js'
import { JOB_KINDS } from '../contract/job.js'
import { PARTIALS } from '../contract/partial.js'
import { CLIENT_SHAPES } from '../contract/shapes.js'

const EVENT_PAYLOADS = {
  type: 'object',
  description: 'Every logged event, in the order a chapter usually has them',
  properties: EVENTS,
  required: EVENT_NAMES,
}

/** What follows from the shapes. */
const DERIVED = `
export type ChapterStatus = ChapterView['status']
export type JobKind = JobView['kind']
export const JOB_KINDS = [${JOB_KINDS.map((kind) => `'${kind}'`).join(', ')}] as const
export type JobStatus = JobView['status']
export type FailureReason = NonNullable<JobView['error']>['reason']
export type Locale = ChapterView['locale']
export type ErrorCode = Problem['code']

export type EventName = keyof EventPayloads
export type EventPayload<Name extends EventName = EventName> = EventPayloads[Name]

/** A piece of the text so far: its name beside its payload. */
export type PartialUpdate =
${JOB_KINDS.map((kind) => `  | { name: '${kind}_partial'; payload: ${nameOf(PARTIALS[kind])} }`).join('\n')}

/** One logged event: its name beside its payload, discriminated by \`name\`. */
export type ChapterEvent = { [Name in EventName]: { name: Name; payload: EventPayload<Name> } }[EventName]
`

function nameOf(shape: object): string | undefined {
  return Object.entries(CLIENT_SHAPES).find(([, schema]) => schema === shape)?.[0]
}

/** As they stand: the shapes they name are above, by the same names. */
function socketEvents(): string {
  const text = readFileSync(new URL('../contract/socket-events.ts', import.meta.url), 'utf8')
  return text.slice(text.lastIndexOf("from './socket.js'") + "from './socket.js'".length).trimStart()
}

/** The text of the client’s `contract.ts`. */
export async function clientContract(): Promise<string> {
  const names = new Map(Object.entries(CLIENT_SHAPES).map(([name, schema]) => [schema as unknown, name]))
  const definitions = Object.fromEntries(
    Object.entries(CLIENT_SHAPES).map(([name, schema]) => [name, withReferences(schema, names, true)]),
  )
  const text = await compile(
    { definitions: { ...definitions, EventPayloads: withReferences(EVENT_PAYLOADS, names, true) } } as never,
    'Root',
    {
      additionalProperties: false,
      unreachableDefinitions: true,
      ignoreMinAndMaxItems: true,
      bannerComment: `/**
 * Every shape that crosses the wire between a server and its clients. Generated from the server’s schemas
 * by \`npm run generate\`; data is spelled as on the wire.
 */`,
      style: { singleQuote: true, semi: false, printWidth: 110 },
    },
  )
  return (
    text
      .replace(/export interface Root \{[^}]*\}\n/, '')
      // Where a shape was found is nothing that its users want to know.
      .replace(/\/\*\*\n( \* This interface was referenced[^\n]*\n \* via the [^\n]*\n) \*\/\n/g, '')
      .replace(/ \*\n \* This interface was referenced[^\n]*\n \* via the [^\n]*\n/g, '') +
    `${DERIVED}\n` +
    socketEvents()
  )
}

/** A shape that is known by name, inside another one, becomes a reference to it. */
function withReferences(value: unknown, names: ReadonlyMap<unknown, string>, isTop = false): unknown {
  if (typeof value !== 'object' || value === null) return value
  const name = names.get(value)
  if (name !== undefined && !isTop) return { $ref: `#/definitions/${name}` }
  if (Array.isArray(value)) return value.map((item) => withReferences(item, names))
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'examples' && key !== '$id')
      .map(([key, item]) => [key, withReferences(item, names)]),
  )
}
