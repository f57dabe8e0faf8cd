/**
 * Reads the answer to a chat completion, streamed or whole, from servers that agree on little else: with or without
 * `[DONE]`, a last line break, a space after `data:`, the right content type; content as text or as parts; one JSON body
 * although a stream was asked for, or one JSON object a line.
 */
export interface Completion {
  text: string
  refusal: string
  finishReason: string | undefined
}

/** The server broke off an answer, with an error of its own or without. */
export class CompletionError extends Error {
  override readonly name = 'CompletionError'
  /** The HTTP status that the server would have given, if it said one. */
  readonly status: number | undefined

  constructor(message: string, status?: number) {
    super(message)
    this.status = status
  }
}

export interface ReadOptions {
  /** Told whenever something arrives, if only a comment that keeps the connection. */
  onHeard?: () => void
  /** Told the text so far whenever the model has said something; it may think for long and add nothing. */
  onText?: (text: string) => void
  /** How long a server may keep the connection open after it said that the answer is complete, ms. */
  lingerMs?: number
}

/** Longer than any result may be; an endless answer must not fill the memory. */
const MAX_CHARS = 2_000_000
const LINGER_MS = 2000
/** What else a server-sent event has beside `data`. */
const FIELD = /^(?:event|id|retry)\s*:/
const LINGERED = Symbol('lingered')

/** @throws what reading throws, or `CompletionError` */
export async function readCompletion(
  response: Response,
  { onHeard = () => {}, onText = () => {}, lingerMs = LINGER_MS }: ReadOptions = {},
): Promise<Completion> {
  const completion: Completion = { text: '', refusal: '', finishReason: undefined }
  const decoder = new TextDecoder()
  /** JSON that has not come whole. */
  let open = ''
  let isDone = false
  let hasSpoken = false

  function takeLine(line: string): void {
    if (isDone || line.startsWith(':') || FIELD.test(line)) return
    const data = /^\s*data:\s?(.*)$/.exec(line)?.[1] ?? line
    if (data.trim() === '[DONE]') {
      isDone = true
      return
    }
    if (open === '' && !/^\s*[{[]/.test(data)) return
    open += open === '' ? data : `\n${data}`
    // Only what ends as JSON does can be whole.
    if (!/[}\]]\s*$/.test(open)) return
    const body = parsed(open)
    if (body === undefined) return
    open = ''
    hasSpoken = true
    take(completion, body)
    onText(completion.text)
  }

  let lingered: Promise<typeof LINGERED> | undefined
  const pieces = (response.body ?? new ReadableStream()).getReader()
  let rest = ''
  try {
    while (!isDone) {
      if (completion.finishReason !== undefined) lingered ??= after(lingerMs)
      const read = pieces.read()
      const next = await (lingered === undefined ? read : Promise.race([read, lingered]))
      if (next === LINGERED || next.done) break
      onHeard()
      const lines = (rest + decoder.decode(next.value, { stream: true })).split(/\r\n|\n|\r/)
      rest = lines.pop() ?? ''
      for (const line of lines) takeLine(line)
      const length = completion.text.length + rest.length + open.length
      if (length > MAX_CHARS) throw new CompletionError('the answer does not end')
    }
  } finally {
    // Nothing that comes later is wanted.
    pieces.cancel().catch(() => {})
  }
  takeLine(rest + decoder.decode())
  // What is left is no JSON: a page, or a piece that was cut off.
  if (open !== '') JSON.parse(open)
  if (!hasSpoken) throw new SyntaxError('the answer is empty')
  const isWhole = isDone || completion.finishReason !== undefined || !isBrokenOff(completion.text)
  if (!isWhole) throw new CompletionError('the answer broke off')
  return completion
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function after(ms: number): Promise<typeof LINGERED> {
  await new Promise((resolve) => setTimeout(resolve, ms).unref())
  return LINGERED
}

/** For an answer without a finish reason: whether its JSON lacks its end. */
function isBrokenOff(text: string): boolean {
  return /^\s*[{[]/.test(text) && !/[}\]]\s*$/.test(text)
}

interface Said {
  content?: unknown
  refusal?: unknown
}

/** One piece, or all of it. What a model thinks (`reasoning`, `reasoning_content`) is left out. */
function take(completion: Completion, body: unknown): void {
  const { error, choices, message } = body as { error?: unknown; choices?: unknown; message?: Said }
  const choice = (Array.isArray(choices) ? choices[0] : undefined) as
    | { delta?: Said; message?: Said; text?: unknown; finish_reason?: unknown }
    | undefined
  if (typeof choice?.finish_reason === 'string' && choice.finish_reason !== '')
    completion.finishReason = choice.finish_reason
  // With an error beside it, the reason says more: the question may be asked in another way.
  if (error && completion.finishReason !== 'error') throw errorOf(error)
  const said = choice?.delta ?? choice?.message ?? message
  completion.text += textOf(said?.content ?? choice?.text)
  if (typeof said?.refusal === 'string') completion.refusal += said.refusal
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((part: unknown) => {
      if (typeof part === 'string') return part
      const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown }
      const isText = type === undefined || type === 'text' || type === 'output_text'
      return isText && typeof text === 'string' ? text : ''
    })
    .join('')
}

function errorOf(error: unknown): CompletionError {
  const { message, code, status, type } = error as Record<string, unknown>
  const number = [status, code].map(Number).find((each) => each >= 400 && each < 600)
  const said = number ?? (/rate.?limit/i.test(`${code} ${type}`) ? 429 : undefined)
  return new CompletionError(
    String(message ?? (typeof error === 'string' ? error : JSON.stringify(error))),
    said,
  )
}
