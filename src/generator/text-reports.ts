/**
 * Posts the text so far of one job: what is new is appended, and where the server has another length, it says where to go
 * on. Best effort: one try each time, and the next post mends what was lost.
 */
import type { GenerationMessage } from '../contract/generation.js'
import { PARTIAL_MAX_BYTES } from '../contract/partial.js'
import type { SoFar } from './text-so-far.js'

/** With its names a post must fit; questions are counted with all that is around them. */
const MAX_BYTES = PARTIAL_MAX_BYTES - 1024

type PostReply = { status: 'answered'; body: Record<string, unknown> } | { status: 'refused' | 'failed' }

export interface TextReports {
  /** Whether the server takes text so far. */
  readonly isWanted: boolean
  /**
   * Not to be called again before it is over.
   * @param soFar undefined: what was sent last, as a heartbeat
   * @returns whether going on is useless
   */
  send(soFar: SoFar | undefined): Promise<boolean>
}

export function createTextReports(
  { callback, kind }: Pick<GenerationMessage, 'callback' | 'kind'>,
  post: (body: object) => Promise<PostReply>,
): TextReports {
  let isWanted = callback.partial_url !== undefined
  let last: SoFar = kind === 'quiz' ? { quizzes: [] } : { text: '' }
  /** What the server has; undefined if unknown. */
  let sent: { text: string } | undefined

  async function send(soFar: SoFar = last): Promise<boolean> {
    last = bounded(soFar)
    const reply = await post(bodyOf(last))
    if (reply.status !== 'answered') {
      // A server that does not know such posts, or not this one, is not asked for each word again.
      if (reply.status === 'refused') isWanted = false
      sent = undefined
      return false
    }
    const { status, length, cancelled } = reply.body
    sent = undefined
    if ('text' in last && typeof length === 'number') {
      const isKnown =
        status === 'success' || (status === 'ignored' && length > 0 && length <= last.text.length)
      if (isKnown) sent = { text: last.text.slice(0, length) }
    }
    return cancelled === true
  }

  function bodyOf(soFar: SoFar): object {
    if (!('text' in soFar) || sent === undefined || !soFar.text.startsWith(sent.text)) return soFar
    return { text: soFar.text.slice(sent.text.length), offset: sent.text.length }
  }

  return {
    get isWanted() {
      return isWanted
    },
    send,
  }
}

/** The beginning, as much as the server takes. */
function bounded(soFar: SoFar): SoFar {
  if ('text' in soFar) {
    if (Buffer.byteLength(soFar.text) <= MAX_BYTES) return soFar
    const bytes = Buffer.from(soFar.text).subarray(0, MAX_BYTES)
    // The last character may be cut.
    return { text: bytes.toString().replace(/\ufffd+$/, '') }
  }
  const quizzes = [...soFar.quizzes]
  while (quizzes.length > 0 && Buffer.byteLength(JSON.stringify(quizzes)) > MAX_BYTES) quizzes.pop()
  return { quizzes }
}
