/**
 * What the n8n community node package (`deploy/n8n/node`) has from this project: the prompts and the JSON Schemas
 * of results. The package is built on its own, so `npm run generate` writes them into one file of it.
 */
import { readFileSync } from 'node:fs'
import { JOB_KINDS } from '../contract/job.js'
import { LOCALES } from '../contract/scalar.js'
import { STRICT_SCHEMAS } from '../generator/result-schema.js'

const HEAD = `/** Written by \`npm run generate\` of the project, from src/generator/. Do not edit. */

export type JobKind = ${unionOf(JOB_KINDS)}
export type Locale = ${unionOf(LOCALES)}

/** What the prompt needs of a message. */
export interface GenerationMessage {
  kind: JobKind
  locale: Locale
  title: string
  description: string
  metadata: object
  quiz_count: number
  previous?: { reason: string; error: string | null } | null
  revision?: number
  instruction?: string | null
  current?: object | null
}
`

/** The text of `nodes/Chaptercast/generated.ts`. */
export function generatedForNode(): string {
  // Also found from the compiled file.
  const source = readFileSync(new URL('../../src/generator/prompt.ts', import.meta.url), 'utf8')
  const prompt = source.replaceAll(/^import type .*\n/gm, '').replace(/^\/\*\*[\s\S]*?\*\/\n/, '')
  if (/^import /m.test(prompt))
    throw new Error('prompt.ts imports more than types: see src/n8n/node-package.ts')
  const schemas = JSON.stringify(STRICT_SCHEMAS, null, 2)
  return `${HEAD}
/** What the model’s answer must look like, as “structured outputs” want it. */
export const SCHEMAS: Record<JobKind, object> = ${schemas}
${prompt}`
}

function unionOf(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(' | ')
}
