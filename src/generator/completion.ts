/**
 * Reads the answer to a chat completion, streamed or whole.
 */
export interface Completion {
  text: string
  refusal: string
  finishReason: string | undefined
}

/** The server broke off an answer with an error of its own. */
export class CompletionError extends Error {
  override readonly name = 'CompletionError'
}

/** Longer than any result may be; an endless answer must not fill the memory. */
const MAX_CHARS = 2_000_000

/**
 * @param onText told whenever something arrives, with the length of the text before it; a model may think for
 * long and say nothing, which is told as well
 * @throws what reading throws, or `CompletionError`
 */
export async function readCompletion(
  response: Response,
  onText: (chars: number) => void,
): Promise<Completion> {
  const completion: Completion = { text: '', refusal: '', finishReason: undefined }
  if (!(response.headers.get('content-type') ?? '').includes('text/event-stream')) {
    take(completion, JSON.parse(await response.text()), 'message')
    return completion
  }
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of response.body ?? []) {
    onText(completion.text.length)
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const data = /^data: ?(.*)$/.exec(line)?.[1]
      if (data === undefined) continue
      if (data === '[DONE]') return completion
      take(completion, JSON.parse(data), 'delta')
    }
    if (completion.text.length + rest.length > MAX_CHARS) throw new CompletionError('the answer does not end')
  }
  return completion
}

/** @param at `delta` of a piece, `message` of a whole */
function take(completion: Completion, body: unknown, at: 'delta' | 'message'): void {
  const { error, choices } = body as { error?: unknown; choices?: unknown }
  if (error) throw new CompletionError(String((error as { message?: unknown }).message ?? error))
  const choice = (Array.isArray(choices) ? choices[0] : undefined) as Record<string, unknown> | undefined
  const said = choice?.[at] as { content?: unknown; refusal?: unknown } | undefined
  if (typeof said?.content === 'string') completion.text += said.content
  if (typeof said?.refusal === 'string') completion.refusal += said.refusal
  if (typeof choice?.finish_reason === 'string') completion.finishReason = choice.finish_reason
}
