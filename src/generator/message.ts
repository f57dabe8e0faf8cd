/**
 * Checks a message from a queue before anyone works on it. Whoever can write to the topics can send anything, and a
 * message that no work can settle would hold its place in the generator for ever.
 *
 * Guarantees for a message that passes: it has the agreed shape, its times are times, and each callback is an http(s)
 * URL that `fetch` takes. Whether a server answers there is found out by asking.
 */
import { GenerationMessage } from '../contract/generation.js'
import { MAX_QUIZZES } from '../contract/job.js'
import type { Violation } from '../contract/problem.js'
import { compileCheck } from '../contract/validation.js'

const checkShape = compileCheck(GenerationMessage, 'message')

export type CheckedMessage =
  | { message: GenerationMessage; problems?: never }
  | { message?: never; problems: Pick<Violation, 'path' | 'message'>[] }

/** @param text the value of a Kafka message; null where it has none */
export function readMessage(text: string | null): CheckedMessage {
  let value: unknown
  try {
    value = JSON.parse(text ?? '')
  } catch {
    // The parser’s own words quote the text, which may hold a secret.
    return { problems: [{ path: '', message: 'is not JSON' }] }
  }
  const problems: Pick<Violation, 'path' | 'message'>[] = checkShape(value)
  if (problems.length > 0) return { problems }
  const message = value as GenerationMessage
  for (const [name, url] of Object.entries(message.callback))
    if (!isCallable(url))
      problems.push({ path: `/message/callback/${name}`, message: 'is not an http or https URL' })
  if (message.quiz_count > MAX_QUIZZES)
    problems.push({ path: '/message/quiz_count', message: `must be at most ${MAX_QUIZZES}` })
  return problems.length > 0 ? { problems } : { message }
}

/** `fetch` refuses a URL that holds credentials before it asks anyone. */
function isCallable(url: unknown): boolean {
  // Unknown fields are not checked as callbacks.
  if (typeof url !== 'string') return true
  if (!URL.canParse(url)) return false
  const { protocol, username, password } = new URL(url)
  return /^https?:$/.test(protocol) && username === '' && password === ''
}
