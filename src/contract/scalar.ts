/**
 * The scalars every boundary shares: ids, instants, counts, text.
 * Text is stored as it came; only what PostgreSQL cannot keep is refused (see `validation.ts`).
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'

/** Largest id that JSON, JavaScript and PostgreSQL all keep exactly: 2^53 − 1. */
export const MAX_ID = Number.MAX_SAFE_INTEGER

export const Id = Type.Integer({
  minimum: 1,
  maximum: MAX_ID,
  description: 'Positive integer, at most 2^53 − 1',
})
export const Seq = Type.Integer({
  minimum: 0,
  maximum: MAX_ID,
  description: 'Position in a chapter’s event log; 0 is before the first',
})
export const Percent = Type.Number({ minimum: 0, maximum: 100 })
export const Instant = Type.String({
  format: 'date-time',
  description: 'ISO 8601, UTC, milliseconds',
  examples: ['2026-01-31T09:00:00.000Z'],
})

/** RFC 3339, which is what `Date.parse` reads in the same way everywhere; `Date.parse('1')` is a year. */
const INSTANT = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/
/** The years that have four digits, of which PostgreSQL has no year 0. */
const FIRST_INSTANT_MS = Date.parse('0001-01-01T00:00:00.000Z')
const LAST_INSTANT_MS = Date.parse('9999-12-31T23:59:59.999Z')

/** Whether it is a time that JavaScript and PostgreSQL read as the same. */
export function isInstant(text: string): boolean {
  return INSTANT.test(text) && isInstantMs(Date.parse(text))
}

/** The same for milliseconds since the epoch. */
export function isInstantMs(ms: number): boolean {
  return ms >= FIRST_INSTANT_MS && ms <= LAST_INSTANT_MS
}

export const LOCALES = ['ko', 'en'] as const
export type Locale = (typeof LOCALES)[number]
export const LocaleSchema = stringEnum(LOCALES, 'Language of the content and of event messages')

/** A JSON Schema `enum` of strings, typed as their union; one keyword, so one violation. */
export function stringEnum<const T extends readonly string[]>(values: T, description?: string) {
  return Type.Unsafe<T[number]>({
    type: 'string',
    enum: [...values],
    ...(description === undefined ? {} : { description }),
  })
}

/** The schema, or null: by a list of types, so that a bad value is one violation and not three. */
export function nullable<T extends TSchema>(schema: T) {
  const { type, enum: values, ...rest } = schema as unknown as { type: string; enum?: unknown[] }
  return Type.Unsafe<Static<T> | null>({
    ...rest,
    type: [type, 'null'],
    ...(values === undefined ? {} : { enum: [...values, null] }),
  })
}
