/**
 * Where the next page of a list begins. The cursor is opaque, so its format may change.
 */
import { isInstantMs } from '../contract/scalar.js'
import { InvalidRequestError } from '../errors.js'

type Part = string | number

/** What a part of a cursor may be; the test is of the part as it was read. */
const SHAPES = {
  number: (part: Part) => Number.isSafeInteger(part),
  /** Milliseconds since the epoch. */
  instant: (part: Part) => Number.isSafeInteger(part) && isInstantMs(Number(part)),
  string: (part: Part) => /^[a-z~]*$/.test(String(part)),
}

/** @param list what it is a cursor of: one of another list is refused */
export function toCursor(list: string, parts: readonly Part[]): string {
  return Buffer.from([list, ...parts].join('|')).toString('base64url')
}

/**
 * @returns whole numbers as numbers, the rest as text; undefined without a cursor
 * @throws {InvalidRequestError} when it is not one that this server gave for this list
 */
export function fromCursor(
  list: string,
  cursor: string | undefined,
  shape: readonly (keyof typeof SHAPES)[],
): Part[] | undefined {
  if (cursor === undefined) return undefined
  const [name, ...texts] = Buffer.from(cursor, 'base64url').toString().split('|')
  const parts = texts.map((text, index) =>
    shape[index] === 'string' || !/^-?\d+$/.test(text) ? text : Number(text),
  )
  const isWhole = parts.every((part, index) => SHAPES[shape[index] ?? 'string'](part))
  if (name !== list || parts.length !== shape.length || !isWhole)
    throw new InvalidRequestError([
      {
        path: '/query/cursor',
        message: 'is not a cursor that this server gave for this list',
        code: 'pattern',
      },
    ])
  return parts
}
