/**
 * The contract’s shapes as Python types: the `contract.py` of the Python client. Shapes are `TypedDict`s, since that is
 * what JSON becomes; an event is a dataclass that a type checker tells apart by its `name`.
 */
import type { TSchema } from '@sinclair/typebox'
import { EVENTS, ProgressUpdate } from '../contract/event.js'
import { JOB_KINDS } from '../contract/job.js'
import { PARTIALS } from '../contract/partial.js'
import { CLIENT_SHAPES as SHAPES } from '../contract/shapes.js'

const HEAD = `"""Every shape that crosses the wire between a server and its clients.

Generated from the server’s schemas by \`npm run generate\`; data is spelled as on the wire.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

from typing_extensions import NotRequired, TypeAlias

from .event import Event, LiveEvent
`

/** Not of HTTP: this client uses server-sent events. */
const SOCKET_ONLY = ['JoinCourse', 'LeaveCourse', 'JoinChapter', 'LeaveChapter', 'RefreshToken', 'Refusal']
/** The package names its own things so. */
const ALIASES: Record<string, string[]> = {
  ChapterStatus: ['ChapterView', 'status'],
  JobKind: ['JobView', 'kind'],
  JobStatus: ['JobView', 'status'],
  Locale: ['ChapterView', 'locale'],
  ErrorCode: ['Problem', 'code'],
}

/** The text of the Python client’s `contract.py`. */
export function pythonContract(): string {
  const names = new Map<unknown, string>()
  for (const [name, schema] of Object.entries(SHAPES))
    if (!SOCKET_ONLY.includes(name)) names.set(schema, name)
  const classes: string[] = []
  for (const [schema, name] of names) writeClass(name, schema as TSchema)
  for (const [name, schema] of Object.entries(EVENTS)) writeClass(payloadName(name), schema)

  function writeClass(name: string, { properties = {}, required = [], description }: TSchema) {
    const fields = Object.entries(properties as Record<string, TSchema>).map(([field, schema]) => {
      const type = typeOf(schema, name + pascal(field))
      const isRequired = (required as string[]).includes(field)
      const about = schema.description ? `    #: ${oneLine(schema.description)}\n` : ''
      return `${about}    ${field}: ${isRequired ? type : `NotRequired[${type}]`}`
    })
    const about = description ? `    """${oneLine(description)}."""\n\n` : ''
    classes.push(`class ${name}(TypedDict):\n${about}${fields.join('\n') || '    pass'}\n`)
  }

  /** @param name of the class that it becomes when it is an object without a name of its own */
  function typeOf(schema: TSchema, name: string): string {
    const known = names.get(schema)
    if (known !== undefined) return known
    if (schema.const !== undefined) return literal([schema.const])
    if (schema.enum !== undefined) return literal(schema.enum)
    if (schema.anyOf !== undefined) return schema.anyOf.map((each: TSchema) => typeOf(each, name)).join(' | ')
    const types: string[] = [schema.type ?? 'any'].flat()
    return types.map((type) => plainType({ ...schema, type }, name)).join(' | ')
  }

  function plainType(schema: TSchema, name: string): string {
    switch (schema.type) {
      case 'string':
        return 'str'
      case 'integer':
        return 'int'
      case 'number':
        return 'float'
      case 'boolean':
        return 'bool'
      case 'null':
        return 'None'
      case 'array':
        return `list[${typeOf(schema.items, `${name}Item`)}]`
      case 'object':
        if (schema.properties === undefined) return 'dict[str, Any]'
        writeClass(name, schema)
        return name
      default:
        return 'Any'
    }
  }

  const aliases = Object.entries(ALIASES).map(([name, [shape = '', field = '']]) => {
    const { properties } = SHAPES[shape] as TSchema
    return `${name}: TypeAlias = ${typeOf(properties[field], name)}`
  })
  const eventNames = `EventName: TypeAlias = ${literal(Object.keys(EVENTS))}`
  return `${[HEAD, ...aliases, eventNames, '', ...classes, ...unions()].join('\n')}`
}

function unions(): string[] {
  const logged = Object.keys(EVENTS).map((name) => `    Event[Literal["${name}"], ${payloadName(name)}],`)
  const shapes = new Map(Object.entries(SHAPES).map(([name, schema]) => [schema, name]))
  const live = [
    `    LiveEvent[Literal["progress_update"], ${shapes.get(ProgressUpdate)}],`,
    ...JOB_KINDS.map((kind) => {
      const partial = shapes.get(PARTIALS[kind])
      return `    LiveEvent[Literal["${kind}_partial"], ${partial}],`
    }),
  ]
  const course = [
    '    LiveEvent[Literal["joined_course"], JoinedCourse],',
    '    LiveEvent[Literal["chapter_status"], CourseChapter],',
    '    LiveEvent[Literal["course_completed"], CourseCompleted],',
  ]
  return [
    `#: A logged event of a chapter.\nChapterEvent: TypeAlias = Union[\n${logged.join('\n')}\n]\n`,
    `#: Progress and text so far: not logged, and only the latest counts.\nChapterUpdate: TypeAlias = Union[\n${live.join('\n')}\n]\n`,
    `#: What a course tells of itself.\nCourseEvent: TypeAlias = Union[\n${course.join('\n')}\n]\n`,
  ]
}

function payloadName(event: string): string {
  return `${pascal(event)}Payload`
}

function pascal(name: string): string {
  return name.replace(/(^|_)([a-z])/g, (_, _before, letter: string) => letter.toUpperCase())
}

/** JSON spells strings and numbers as Python does. */
function literal(values: unknown[]): string {
  const texts = values.map((value) => {
    if (value === null) return 'None'
    if (typeof value === 'boolean') return value ? 'True' : 'False'
    return JSON.stringify(value)
  })
  return `Literal[${texts.join(', ')}]`
}

function oneLine(text: string): string {
  return text.replaceAll('\\', '\\\\').replace(/\s+/g, ' ').replace(/\.$/, '')
}
