/**
 * The one spelling rule between the wire and the program: a record's field `lastSeq` is `last_seq` on the wire, and
 * an instant (`…At`, milliseconds since the epoch) is ISO 8601 text there.
 */
import type { Static, TObject } from '@sinclair/typebox'

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Rest}`
  ? `${Head}${Capitalize<CamelCase<Rest>>}`
  : Name

/** What a record must have so that `toWire` can make `Wire` of it. */
export type RecordOf<Wire> = {
  [Name in keyof Wire as CamelCase<Name & string>]: Name extends `${string}_at`
    ? number | Extract<Wire[Name], null>
    : Wire[Name]
}

export function camelCase(name: string): string {
  return name.replaceAll(/_(.)/g, (_match, letter: string) => letter.toUpperCase())
}

export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

export function toInstant(ms: number): string {
  return new Date(ms).toISOString()
}

/** The fields of `schema`, from the record's fields of the same names; whatever else the record has is left out. */
export function toWire<Schema extends TObject>(
  schema: Schema,
  record: RecordOf<Static<Schema>>,
): Static<Schema> {
  const from = record as Record<string, unknown>
  const wire: Record<string, unknown> = {}
  for (const { name, key, isInstant } of fieldsOf(schema)) {
    const value = from[key]
    if (value !== undefined) wire[name] = isInstant && typeof value === 'number' ? toInstant(value) : value
  }
  return wire as Static<Schema>
}

interface Field {
  name: string
  key: string
  isInstant: boolean
}

const fields = new WeakMap<TObject, Field[]>()

function fieldsOf(schema: TObject): Field[] {
  let known = fields.get(schema)
  if (known === undefined) {
    known = Object.keys(schema.properties).map((name) => ({
      name,
      key: camelCase(name),
      isInstant: name.endsWith('_at'),
    }))
    fields.set(schema, known)
  }
  return known
}
