/**
 * A language model behind the chat completions API of OpenAI, which many servers speak (vLLM, Ollama,
 * LiteLLM, …).
 *
 * An answer is asked for in the shape of the contract’s schema, as a stream. It is handed in as it came: the server judges
 * it. A server that cannot do that is asked more simply, for this call: for any JSON object, then for plain text, and
 * without a stream. Only what it says plainly not to support is not asked for again. Every fault becomes a `ModelError`
 * whose text is fit for people; the details go to the log.
 */
import type { OpenAiConfig } from '../config/config.js'
import type { GenerationMessage } from '../contract/generation.js'
import type { JobKind } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { type Completion, CompletionError, readCompletion } from './completion.js'
import { type GenerateContext, type Model, ModelError } from './model.js'
import { type PostRequest, patientFetch } from './patient-fetch.js'
import { promptOf } from './prompt.js'
import { STRICT_SCHEMAS } from './result-schema.js'
import { soFarOf } from './text-so-far.js'
import type { Log } from './worker.js'

export interface OpenAiModelOptions {
  log: Log
  fetch?: PostRequest
}

/** How the shape is asked for, the surest first. */
const FORMATS = ['json_schema', 'json_object', 'text'] as const
type Format = (typeof FORMATS)[number]

/** One way to ask. */
interface Way {
  format: Format
  isStreamed: boolean
}

/** What the server said to a way of asking that is not its own. */
interface NotUnderstood {
  status: number
  problem: string
  /** In case that there is no simpler way. */
  error: ModelError
}

/** With these a server may mean the schema or the stream, and not the question. */
const ASK_MORE_SIMPLY = new Set([400, 404, 422, 500, 501])
const NOT_SUPPORTED =
  /unsupported|not\s+(?:yet\s+|currently\s+)?(?:be\s+)?support|n['’]t\s+support|no\s+support|not\s+implemented|unrecogni[sz]ed|unknown\s+(?:field|parameter|name|argument|variant)|extra\s+inputs|must\s+be\s+['"`]?\w+['"`]?\s+or\b/i
const ABOUT_FORMAT = /response_?format|json_?schema|json_?object|structured/i
const ABOUT_STREAM = /\bstream/i
/** Progress and text are reported no more often, ms. */
const REPORT_EVERY_MS = 1000
const TEXT_EVERY_MS = 300

export function createOpenAiModel(config: OpenAiConfig, options: OpenAiModelOptions): Model {
  const { log, fetch: request = patientFetch } = options
  const { apiKey, model, silenceMs } = config
  const endpoint = endpointOf(config.baseUrl)
  const unsupported = new Set<Format | 'stream'>()

  return {
    async generate<K extends JobKind>(message: GenerationMessage & { kind: K }, context: GenerateContext) {
      const { signal } = context
      signal.throwIfAborted()
      const texts = TEXTS[message.locale]
      const completion = await ask(message, signal, reportsOf(message, context))
      const { text, refusal, finishReason } = completion
      if (refusal !== '' || finishReason === 'content_filter') {
        log.info({ ...aboutOf(message), refusal: refusal.slice(0, 500) }, 'the model refused')
        throw new ModelError(texts.refused, { reason: 'refused' })
      }
      if (finishReason === 'length') throw new ModelError(texts.tooLong, { reason: 'invalid_result' })
      return { raw: text }
    },
  }

  /** Asks as well as the server is known to understand, and more simply where it does not. */
  async function ask(
    message: GenerationMessage,
    signal: AbortSignal,
    onText: (text: string) => void,
  ): Promise<Completion> {
    let way: Way = {
      format: FORMATS.find((format) => !unsupported.has(format)) ?? 'text',
      isStreamed: !unsupported.has('stream'),
    }
    for (;;) {
      const answer = await post(message, way, signal, onText)
      if (!('problem' in answer)) return answer
      const { status, problem } = answer
      const isPlain = NOT_SUPPORTED.test(problem)
      if (isPlain && ABOUT_FORMAT.test(problem) && way.format !== 'text') unsupported.add(way.format)
      const isAboutStream = ABOUT_STREAM.test(problem) && !ABOUT_FORMAT.test(problem)
      if (isPlain && isAboutStream && way.isStreamed) unsupported.add('stream')
      const simpler = simplerThan(way, problem)
      if (simpler === undefined) throw answer.error
      log.debug({ ...way, http_status: status, problem }, 'the server did not understand; asked more simply')
      way = simpler
    }
  }

  /** @returns undefined when there is no simpler way */
  function simplerThan({ format, isStreamed }: Way, problem: string): Way | undefined {
    if (isStreamed && ABOUT_STREAM.test(problem) && !ABOUT_FORMAT.test(problem))
      return { format, isStreamed: false }
    const next = FORMATS.slice(FORMATS.indexOf(format) + 1).find((each) => !unsupported.has(each))
    return next === undefined ? undefined : { format: next, isStreamed }
  }

  async function post(
    message: GenerationMessage,
    way: Way,
    signal: AbortSignal,
    onText: (text: string) => void,
  ): Promise<Completion | NotUnderstood> {
    const texts = TEXTS[message.locale]
    const silence = silenceOf(silenceMs, signal)
    const about = { ...aboutOf(message), response_format: way.format }
    try {
      const response = await request(endpoint, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream, application/json',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(bodyOf(message, way)),
        // Followed, a 301 or 302 would become a GET without the body.
        redirect: 'manual',
        signal: silence.signal,
      })
      silence.heard()
      if (!response.ok) {
        const problem = shown(await response.text())
        return refused(response.status, problem, retryAfterOf(response.headers.get('retry-after')))
      }
      const completion = await readCompletion(response, { onHeard: silence.heard, onText })
      if (completion.finishReason !== 'error') return completion
      return notUnderstood(
        500,
        'finish_reason: error',
        new ModelError(texts.unavailable, { reason: 'unavailable' }),
      )
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ModelError) throw error
      if (error instanceof CompletionError && error.status !== undefined)
        return refused(error.status, shown(error.message), undefined)
      log.warn({ ...about, problem: shown(describe(error)) }, 'the model’s server failed')
      if (error instanceof SyntaxError) throw new ModelError(texts.invalid, { reason: 'invalid_result' })
      throw new ModelError(texts.unavailable, { reason: 'unavailable' })
    } finally {
      silence.end()
    }

    /** @throws {ModelError} when asking in another way cannot help */
    function refused(status: number, problem: string, retryAfterS: number | undefined): NotUnderstood {
      if (status === 400 && problem.includes('content_filter'))
        throw new ModelError(texts.refused, { reason: 'refused' })
      const error = refusalOf(status, problem, retryAfterS, texts)
      if (ASK_MORE_SIMPLY.has(status)) return notUnderstood(status, problem, error)
      log.warn({ ...about, http_status: status, problem }, 'the model’s server refused')
      throw error
    }

    function notUnderstood(status: number, problem: string, error: ModelError): NotUnderstood {
      if (simplerThan(way, problem) === undefined)
        log.warn({ ...about, http_status: status, problem }, 'the model’s server refused')
      return { status, problem, error }
    }
  }

  function bodyOf(message: GenerationMessage, { format, isStreamed }: Way) {
    const { system, user } = promptOf(message)
    const formats = {
      json_schema: {
        type: 'json_schema',
        json_schema: { name: message.kind, strict: true, schema: STRICT_SCHEMAS[message.kind] },
      },
      json_object: { type: 'json_object' },
      text: undefined,
    }
    const body = {
      model,
      stream: isStreamed,
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
      response_format: formats[format],
      max_tokens: config.maxTokens,
      temperature: config.temperature,
      ...config.extraBody,
    }
    return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  }

  /** For the log: short, and without the key, which some servers repeat. */
  function shown(text: string): string {
    return (apiKey ? text.replaceAll(apiKey, '***') : text).slice(0, 500)
  }
}

/** @param baseUrl of the API, or the whole address of its chat completions; a query stays */
export function endpointOf(baseUrl: string): string {
  const url = new URL(baseUrl.trim())
  const path = url.pathname
    .replace(/\/+$/, '')
    .replace(/\/chat\/completions$/, '')
    .replace(/\/+$/, '')
  url.pathname = `${path}/chat/completions`
  return url.href
}

function refusalOf(
  status: number,
  problem: string,
  retryAfterS: number | undefined,
  texts: Texts,
): ModelError {
  const later = retryAfterS === undefined ? {} : { retryAfterS }
  if (status === 429) {
    // Waiting does not fill an account.
    if (problem.includes('insufficient_quota'))
      return new ModelError(texts.quota, { reason: 'model_error', retryable: false })
    return new ModelError(texts.rateLimited, { reason: 'rate_limited', ...later })
  }
  if (status >= 500 || status === 408)
    return new ModelError(texts.unavailable, { reason: 'unavailable', ...later })
  return new ModelError(texts.misconfigured(status), { reason: 'model_error', retryable: false })
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterOf(value: string | null): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
  return seconds > 0 ? Math.ceil(seconds) : undefined
}

/**
 * Reports progress and the text so far. Text as long as usual is nine tenths; beyond, it goes on ever more slowly, for
 * nobody knows the end.
 */
function reportsOf({ kind, quiz_count, locale }: GenerationMessage, { onProgress, onText }: GenerateContext) {
  const usualChars = { concept: 2500, exercise: 1200, quiz: 250 * quiz_count }[kind]
  let reportedAt = Number.NEGATIVE_INFINITY
  let shownAt = Number.NEGATIVE_INFINITY
  return (text: string) => {
    const now = performance.now()
    const soFar = now - shownAt < TEXT_EVERY_MS ? undefined : soFarOf(kind, text)
    if (soFar !== undefined) {
      shownAt = now
      onText(soFar)
    }
    if (now - reportedAt < REPORT_EVERY_MS) return
    reportedAt = now
    const share = 1 - Math.exp((-2.3 * text.length) / usualChars)
    onProgress(Math.min(99, Math.round(100 * share)), TEXTS[locale].progress(text.length))
  }
}

/** Aborts with `signal`, or when nothing was heard for `ms`. */
function silenceOf(ms: number, signal: AbortSignal) {
  const controller = new AbortController()
  const abort = () => controller.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  const timer = setTimeout(() => controller.abort(new Error(`silent for ${ms} ms`)), ms)
  return {
    signal: controller.signal,
    heard: () => {
      timer.refresh()
    },
    end() {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    },
  }
}

function aboutOf({ chapter_id, kind, job_id, attempt }: GenerationMessage) {
  return { chapter_id, kind, job_id, attempt }
}

/** Fetch hides the reason (`ECONNREFUSED`) in its error’s cause. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  if (error instanceof CompletionError || !(cause instanceof Error)) return error.message
  return `${error.message}: ${cause.message || ('code' in cause ? String(cause.code) : cause.name)}`
}

export interface Texts {
  progress: (chars: number) => string
  refused: string
  tooLong: string
  invalid: string
  rateLimited: string
  quota: string
  unavailable: string
  misconfigured: (status: number) => string
}

/** What people are told; the n8n workflows say the same. */
export const TEXTS: Record<Locale, Texts> = {
  ko: {
    progress: (chars) =>
      chars === 0 ? 'AI 모델이 내용을 구상하고 있습니다.' : `AI 모델이 작성하고 있습니다. (${chars}자)`,
    refused: 'AI 모델이 이 내용의 생성을 거절했습니다.',
    tooLong: 'AI 모델의 답변이 길이 제한에 걸려 중간에 끊겼습니다.',
    invalid: 'AI 모델의 답변이 요청한 형식에 맞지 않습니다.',
    rateLimited: 'AI 모델의 요청 한도를 초과했습니다.',
    quota: 'AI 모델의 사용 한도가 소진되었습니다. 운영자의 확인이 필요합니다.',
    unavailable: 'AI 모델 서버가 응답하지 않습니다.',
    misconfigured: (status) =>
      `AI 모델을 사용할 수 없습니다(HTTP ${status}). 운영자가 OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL 설정을 확인해야 합니다.`,
  },
  en: {
    progress: (chars) =>
      chars === 0 ? 'The AI model is thinking.' : `The AI model is writing (${chars} characters).`,
    refused: 'The AI model refused to write this.',
    tooLong: 'The AI model’s answer was cut off at its length limit.',
    invalid: 'The AI model’s answer is not in the requested form.',
    rateLimited: 'The AI model’s rate limit was exceeded.',
    quota: 'The AI model’s quota is used up; an operator has to look into it.',
    unavailable: 'The AI model’s server does not answer.',
    misconfigured: (status) =>
      `The AI model cannot be used (HTTP ${status}): an operator has to check OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL.`,
  },
}
