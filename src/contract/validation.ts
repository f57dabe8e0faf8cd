/**
 * Checks a value against a schema from `contract/`, and lists every violation rather than the first, up to a
 * hundred. Used at every boundary: HTTP through Fastify’s validator, and socket payloads. Nothing is coerced in
 * a body; path and query parameters, which are text, become the integers and booleans that they spell.
 */
import type { TSchema } from '@sinclair/typebox'
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import ajvFormats from 'ajv-formats'
import type { Violation, ViolationCode } from './problem.js'
import { isInstant } from './scalar.js'

/** The parts of a request, as Fastify names them, and as a violation’s path begins. */
const PARTS: Record<string, string> = {
  body: '/body',
  params: '/params',
  querystring: '/query',
  headers: '/headers',
}

const formats = { 'date-time': isInstant }
const thorough = new Ajv({ allErrors: true, useDefaults: true, strict: false, formats })
const quick = new Ajv({ useDefaults: true, strict: false, formats })
for (const ajv of [thorough, quick]) ajvFormats.default(ajv, ['uuid'])

/** A value with more parts than that is told of its first violation only: finding all could take a second. */
const MAX_THOROUGH_PARTS = 5000

/** Deepest nesting of a free JSON object; PostgreSQL and PGlite parse it recursively. */
const MAX_DEPTH = 32

/** A body of a megabyte can hold 100,000 mistakes, and a name as long as itself: the answer stays small. */
const MAX_VIOLATIONS = 100
/** In UTF-16 units. */
const MAX_PATH = 200

/** @returns every violation, up to `MAX_VIOLATIONS`; empty when the value is valid, its defaults then filled in */
export type Check = (value: unknown) => Violation[]

export function compileCheck(schema: TSchema, part = 'body'): Check {
  const root = PARTS[part] ?? `/${part}`
  const isValid = quick.compile(schema)
  // Compiled when the first value is refused: most schemas never refuse one.
  let validate: ValidateFunction | undefined
  const known = schema.properties === undefined ? undefined : Object.keys(schema.properties)
  return (value) => {
    if (part === 'params' || part === 'querystring') spellOut(schema, value)
    const violations: Violation[] = []
    const isOfShape = isValid(value)
    if (!isOfShape) {
      const isLarge = hasMoreParts(value, MAX_THOROUGH_PARTS)
      validate ??= thorough.compile(schema)
      const check = isLarge ? isValid : validate
      if (isLarge || !check(value)) violations.push(...violationsOf(check.errors ?? [], root))
      // Refused already: its texts could hold the event loop up for longer than they are worth.
      if (isLarge) return shortenedAll(violations)
    }
    checkText(value, root, known, violations)
    return violations.length === 0 ? violations : shortenedAll(violations)
  }
}

function shortenedAll(violations: Violation[]): Violation[] {
  return violations.slice(0, MAX_VIOLATIONS).map((one) => ({ ...one, path: shortened(one.path) }))
}

/** Stops counting as soon as it knows; what is in a part is looked at only while there are few. */
function hasMoreParts(value: unknown, limit: number): boolean {
  const open = [value]
  let count = 1
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (typeof part !== 'object' || part === null) continue
    if (Array.isArray(part) && part.length > limit) return true
    for (const name in part) {
      count += 1
      if (count > limit) return true
      const inner = (part as Record<string, unknown>)[name]
      if (typeof inner === 'object' && inner !== null) open.push(inner)
    }
  }
  return false
}

/** A value of the wrong type also breaks its enum. Only the type is reported. */
function violationsOf(errors: ErrorObject[], root: string): Violation[] {
  const mistyped = new Set(
    errors.flatMap(({ keyword, instancePath }) => (keyword === 'type' ? [instancePath] : [])),
  )
  return errors
    .filter(({ keyword, instancePath }) => keyword !== 'enum' || !mistyped.has(instancePath))
    .slice(0, MAX_VIOLATIONS)
    .map((error) => violationOf(error, root))
}

function violationOf(error: ErrorObject, root: string): Violation {
  const at = `${root}${error.instancePath}`
  const { params } = error as { params: Record<string, unknown> }
  switch (error.keyword) {
    case 'required':
      return { path: pointer(at, params.missingProperty), message: 'is required', code: 'required' }
    case 'additionalProperties':
      return {
        path: pointer(at, params.additionalProperty),
        message: 'is not a known field',
        code: 'unknown_field',
      }
    case 'enum': {
      const limit = (params.allowedValues as unknown[]).map(String)
      return { path: at, message: `must be one of ${limit.join(', ')}`, code: 'not_one_of', limit }
    }
    case 'const': {
      const limit = [String(params.allowedValue)]
      return { path: at, message: `must be ${limit[0]}`, code: 'not_one_of', limit }
    }
    case 'type': {
      const types = [params.type].flat()
      const isNumber = types.some((type) => type === 'integer' || type === 'number')
      return {
        path: at,
        message: `must be ${types.join(' or ')}`,
        code: isNumber ? 'not_a_number' : 'wrong_type',
      }
    }
    default: {
      const code = CODES[error.keyword] ?? 'invalid'
      const { limit, format } = params
      return {
        path: at,
        message:
          format === 'date-time'
            ? 'must be a time, such as 2026-01-31T09:00:00Z'
            : (error.message ?? 'is not valid'),
        code,
        ...(typeof limit === 'number' ? { limit } : {}),
      }
    }
  }
}

/** By the keyword of JSON Schema that was not kept. */
const CODES: Record<string, ViolationCode> = {
  minLength: 'too_short',
  maxLength: 'too_long',
  minimum: 'too_small',
  exclusiveMinimum: 'too_small',
  maximum: 'too_large',
  exclusiveMaximum: 'too_large',
  minItems: 'too_few',
  maxItems: 'too_many',
  minProperties: 'too_few',
  maxProperties: 'too_many',
  pattern: 'pattern',
  format: 'pattern',
}

/** Turns text into the integers and booleans that a schema asks for; other text stays, to be refused. */
function spellOut(schema: TSchema, value: unknown): void {
  const record = value as Record<string, unknown>
  for (const [name, property] of Object.entries((schema.properties ?? {}) as Record<string, TSchema>)) {
    const text = record[name]
    if (typeof text !== 'string') continue
    if (property.type === 'integer' && /^(0|[1-9]\d*)$/.test(text)) record[name] = Number(text)
    if (property.type === 'boolean' && /^(true|false)$/.test(text)) record[name] = text === 'true'
  }
}

/**
 * What PostgreSQL cannot keep, in any text or field name: a NUL and an unpaired surrogate. Fields that the
 * schema does not know are not looked at: they are refused or ignored.
 */
function checkText(value: unknown, root: string, known: string[] | undefined, violations: Violation[]): void {
  const open: Place[] = []
  const whole: Place = { value, name: '', depth: 0, parent: undefined }
  const look = (inner: unknown, name: string | number, parent: Place): void => {
    const problem = typeof inner === 'string' ? textProblem(inner) : undefined
    if (problem !== undefined)
      violations.push({ path: pathOf(root, parent, name), message: problem, code: 'not_storable' })
    if (typeof inner === 'object' && inner !== null)
      open.push({ value: inner, name, depth: parent.depth + 1, parent })
  }
  if (typeof value === 'object' && value !== null && known !== undefined && !Array.isArray(value)) {
    for (const name of known)
      if (Object.hasOwn(value, name)) look((value as Record<string, unknown>)[name], name, whole)
  } else if (typeof value === 'string') {
    const problem = textProblem(value)
    if (problem !== undefined) violations.push({ path: root, message: problem, code: 'not_storable' })
  } else if (typeof value === 'object' && value !== null) open.push(whole)

  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    if (place.depth > MAX_DEPTH) {
      violations.push({
        path: pathOf(root, place),
        message: `is nested deeper than ${MAX_DEPTH} levels`,
        code: 'too_deep',
        limit: MAX_DEPTH,
      })
      return
    }
    const { value: inside } = place
    if (Array.isArray(inside)) {
      for (let index = 0; index < inside.length && violations.length < MAX_VIOLATIONS; index += 1)
        look(inside[index], index, place)
      continue
    }
    for (const name of Object.keys(inside as object)) {
      if (violations.length >= MAX_VIOLATIONS) return
      const problem = textProblem(name)
      if (problem !== undefined)
        violations.push({
          path: pathOf(root, place),
          message: `has a field whose name ${problem}`,
          code: 'not_storable',
        })
      else look((inside as Record<string, unknown>)[name], name, place)
    }
  }
}

/** An object or a list, and where it is; the path is built only when a value is refused. */
interface Place {
  value: unknown
  name: string | number
  depth: number
  parent: Place | undefined
}

function pathOf(root: string, place: Place | undefined, name?: string | number): string {
  const names: (string | number)[] = name === undefined ? [] : [name]
  for (let at = place; at?.parent !== undefined; at = at.parent) names.push(at.name)
  return names.reverse().reduce<string>(pointer, root)
}

/** One step further in a JSON Pointer (RFC 6901). */
function pointer(path: string, name: unknown): string {
  return `${path}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

function shortened(path: string): string {
  return path.length <= MAX_PATH ? path : `${path.slice(0, MAX_PATH).toWellFormed()}…`
}

function textProblem(text: string): string | undefined {
  if (text.includes('\0')) return 'holds a NUL character (U+0000), which cannot be stored'
  if (!text.isWellFormed()) return 'holds an unpaired surrogate, which cannot be stored'
  return undefined
}
