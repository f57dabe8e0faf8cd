/**
 * A language model behind the chat completions API of OpenAI, which many servers speak (vLLM, Ollama,
 * LiteLLM, …).
 *
 * An answer is asked for in the shape of the contract’s schema. It is handed in as it came: the server judges it.
 * A server that refuses the schema is asked for any JSON object, then for plain text; what worked is
 * remembered. Every fault becomes a `ModelError` whose text is fit for people; the details go to the log.
 */
import type { OpenAiConfig } from '../config/config.js'
import type { GenerationMessage } from '../contract/generation.js'
import type { JobKind } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'
import { type Completion, CompletionError, readCompletion } from './completion.js'
import { type GenerateContext, type Model, ModelError } from './model.js'
import { promptOf } from './prompt.js'
import { STRICT_SCHEMAS } from './result-schema.js'
import type { Log } from './worker.js'

export interface OpenAiModelOptions {
  log: Log
  fetch?: typeof fetch
  /** Longest silence of the server, ms: until it answers, and between two pieces of the answer. */
  silenceMs?: number
}

/** How the shape is asked for, the surest first. */
const FORMATS = ['json_schema', 'json_object', 'text'] as const
type Format = (typeof FORMATS)[number]

const SILENCE_MS = 240_000
/** Progress is reported no more often. */
const REPORT_EVERY_MS = 1000

export function createOpenAiModel(config: OpenAiConfig, options: OpenAiModelOptions): Model {
  const { log, fetch: request = fetch, silenceMs = SILENCE_MS } = options
  const { baseUrl, apiKey, model } = config
  let format: Format = FORMATS[0]

  return {
    async generate<K extends JobKind>(
      message: GenerationMessage & { kind: K },
      { signal, onProgress }: GenerateContext,
    ) {
      signal.throwIfAborted()
      const texts = TEXTS[message.locale]
      const progress = progressOf(message, onProgress)
      const completion = await ask(message, signal, progress)
      const { text, refusal, finishReason } = completion
      if (refusal !== '' || finishReason === 'content_filter') {
        log.info({ ...aboutOf(message), refusal: refusal.slice(0, 500) }, 'the model refused')
        throw new ModelError(texts.refused, { reason: 'refused' })
      }
      if (finishReason === 'length') throw new ModelError(texts.tooLong, { reason: 'invalid_result' })
      return { raw: text }
    },
  }

  /** Asks in the shape that is known to work, or finds out which one does. */
  async function ask(
    message: GenerationMessage,
    signal: AbortSignal,
    onText: (chars: number) => void,
  ): Promise<Completion> {
    for (let at = FORMATS.indexOf(format); ; at += 1) {
      const tried = FORMATS[at] ?? 'text'
      const answer = await post(message, tried, signal, onText)
      if (answer !== 'not understood') {
        if (tried !== format)
          log.info({ model, response_format: tried }, 'the server takes no stricter format')
        // Only ever looser: another request may have found out more meanwhile.
        if (at > FORMATS.indexOf(format)) format = tried
        return answer
      }
    }
  }

  async function post(
    message: GenerationMessage,
    asked: Format,
    signal: AbortSignal,
    onText: (chars: number) => void,
  ): Promise<Completion | 'not understood'> {
    const texts = TEXTS[message.locale]
    const silence = silenceOf(silenceMs, signal)
    try {
      const response = await request(`${baseUrl}/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream, application/json',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(bodyOf(message, asked)),
        // Followed, a 301 or 302 would become a GET without the body.
        redirect: 'manual',
        signal: silence.signal,
      })
      silence.heard()
      if (response.ok)
        return await readCompletion(response, (chars) => {
          silence.heard()
          onText(chars)
        })
      const problem = shown(await response.text())
      if (response.status === 400 && problem.includes('content_filter'))
        throw new ModelError(texts.refused, { reason: 'refused' })
      if ((response.status === 400 || response.status === 422) && asked !== 'text') {
        log.debug({ response_format: asked, problem }, 'the server did not understand; asked more simply')
        return 'not understood'
      }
      const about = { ...aboutOf(message), http_status: response.status, problem }
      log.warn(about, 'the model’s server refused')
      throw refusalOf(response, problem, texts)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ModelError) throw error
      log.warn({ ...aboutOf(message), problem: shown(describe(error)) }, 'the model’s server failed')
      if (error instanceof SyntaxError) throw new ModelError(texts.invalid, { reason: 'invalid_result' })
      throw new ModelError(texts.unavailable, { reason: 'unavailable' })
    } finally {
      silence.end()
    }
  }

  function bodyOf(message: GenerationMessage, asked: Format) {
    const { system, user } = promptOf(message)
    const formats = {
      json_schema: {
        type: 'json_schema',
        json_schema: { name: message.kind, strict: true, schema: STRICT_SCHEMAS[message.kind] },
      },
      json_object: { type: 'json_object' },
      text: undefined,
    }
    return {
      model,
      stream: true,
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
      response_format: formats[asked],
    }
  }

  /** For the log: short, and without the key, which some servers repeat. */
  function shown(text: string): string {
    return (apiKey ? text.replaceAll(apiKey, '***') : text).slice(0, 500)
  }
}

function refusalOf({ status, headers }: Response, problem: string, texts: Texts): ModelError {
  if (status === 429) {
    // Waiting does not fill an account.
    if (problem.includes('insufficient_quota'))
      return new ModelError(texts.quota, { reason: 'model_error', retryable: false })
    const retryAfterS = retryAfterOf(headers.get('retry-after'))
    return new ModelError(texts.rateLimited, {
      reason: 'rate_limited',
      ...(retryAfterS === undefined ? {} : { retryAfterS }),
    })
  }
  if (status >= 500 || status === 408) return new ModelError(texts.unavailable, { reason: 'unavailable' })
  return new ModelError(texts.misconfigured(status), { reason: 'model_error', retryable: false })
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterOf(value: string | null): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
  return seconds > 0 ? Math.ceil(seconds) : undefined
}

/** Text as long as usual is nine tenths; beyond, it goes on ever more slowly, for nobody knows the end. */
function progressOf(
  { kind, quiz_count, locale }: GenerationMessage,
  onProgress: GenerateContext['onProgress'],
) {
  const usualChars = { concept: 2500, exercise: 1200, quiz: 250 * quiz_count }[kind]
  let reportedAt = Number.NEGATIVE_INFINITY
  return (chars: number) => {
    const now = performance.now()
    if (now - reportedAt < REPORT_EVERY_MS) return
    reportedAt = now
    const share = 1 - Math.exp((-2.3 * chars) / usualChars)
    onProgress(Math.min(99, Math.round(100 * share)), TEXTS[locale].progress(chars))
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
    heard: () => void timer.refresh(),
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
