/**
 * The contract’s result schemas as “structured outputs” want them, and the check of what came back.
 */
import type { TSchema } from '@sinclair/typebox'
import type { GenerationMessage } from '../contract/generation.js'
import { type JobKind, type JobResults, type QuizItem, RESULTS } from '../contract/job.js'
import { compileCheck } from '../contract/validation.js'

/** By kind: strict JSON Schemas, in which every field is required and nothing else is allowed. */
export const STRICT_SCHEMAS = Object.fromEntries(
  Object.entries(RESULTS).map(([kind, schema]) => [kind, strict(schema)]),
) as Record<JobKind, Record<string, unknown>>

const CHECKS = Object.fromEntries(
  Object.entries(RESULTS).map(([kind, schema]) => [kind, compileCheck(schema, 'result')]),
) as Record<JobKind, ReturnType<typeof compileCheck>>

/** What is wrong with a result, or the result, with no more questions than were asked for. */
export function readResult<K extends JobKind>(
  { kind, quiz_count }: GenerationMessage & { kind: K },
  text: string,
): { result: JobResults[K] } | { problem: string } {
  const value = parse(text)
  if (value === undefined) return { problem: 'not a JSON object' }
  const problems = CHECKS[kind](value).map(({ path, message }) => `${path} ${message}`)
  if (problems.length > 0) return { problem: problems.slice(0, 5).join('; ') }
  if (kind !== 'quiz') return { result: value as JobResults[K] }

  const { quizzes } = value as JobResults['quiz']
  if (quizzes.length < quiz_count) return { problem: `${quizzes.length} questions instead of ${quiz_count}` }
  const wanted = quizzes.slice(0, quiz_count)
  for (const [index, quiz] of wanted.entries()) {
    const problem = quizProblem(quiz)
    if (problem !== undefined) return { problem: `/result/quizzes/${index} ${problem}` }
  }
  return { result: { quizzes: wanted } as JobResults[K] }
}

function quizProblem({ type = 'multiple', options, correct_answer }: QuizItem): string | undefined {
  if (type === 'multiple' && (options?.length ?? 0) < 2) return 'has fewer than two options'
  // A true-or-false question may come without options; one that has them is answered by one of them.
  if (type !== 'short' && options?.length && !options.includes(correct_answer))
    return 'has a correct_answer that is none of its options'
  if (options && new Set(options).size < options.length) return 'has the same option twice'
  return undefined
}

/** The object in an answer that may be wrapped in thoughts, a code fence or a sentence. */
function parse(text: string): object | undefined {
  const spoken = text.replace(/^\s*<think>[\s\S]*?<\/think>/, '')
  const from = spoken.indexOf('{')
  const to = spoken.lastIndexOf('}')
  if (from < 0 || to < from) return undefined
  try {
    return JSON.parse(spoken.slice(from, to + 1)) as object
  } catch {
    return undefined
  }
}

/**
 * Only what strict mode knows: other keywords (lengths, defaults, examples) make servers refuse the schema,
 * and are checked afterwards. An optional field becomes a required one that may be null only where it already may.
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
