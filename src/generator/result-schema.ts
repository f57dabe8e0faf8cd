/**
 * The contract’s result schemas as “structured outputs” want them.
 */
import type { TSchema } from '@sinclair/typebox'
import { type JobKind, RESULTS } from '../contract/job.js'

/** By kind: strict JSON Schemas, in which every field is required and nothing else is allowed. */
export const STRICT_SCHEMAS = Object.fromEntries(
  Object.entries(RESULTS).map(([kind, schema]) => [kind, strict(schema)]),
) as Record<JobKind, Record<string, unknown>>

/**
 * Only what strict mode knows: other keywords (lengths, defaults, examples) make servers refuse the schema,
 * and the server judges afterwards. An optional field becomes a required one that may be null only where it already may.
 */
function strict(schema: TSchema): Record<string, unknown> {
  const { type, description, properties, items } = schema as Record<string, unknown>
  const { enum: values } = schema as { enum?: unknown[] }
  const kept = { type, ...(values ? { enum: values } : {}), ...(description ? { description } : {}) }
  if (properties) {
    const fields = Object.entries(properties as Record<string, TSchema>)
    return {
      ...kept,
      properties: Object.fromEntries(fields.map(([name, field]) => [name, strict(field)])),
      required: fields.map(([name]) => name),
      additionalProperties: false,
    }
  }
  return items ? { ...kept, items: strict(items as TSchema) } : kept
}
