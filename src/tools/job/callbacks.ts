/**
 * The other end of the webhooks for `npm run job`: shows every callback, and answers it as the server would, with
 * the server’s own routes and checks, or passes it on to the server.
 */
import type { FastifyBaseLogger } from 'fastify'
import fastify from 'fastify'
import { settleQuiz } from '../../answers/quiz.js'
import type { CommitGroups } from '../../chapters/commit-group.js'
import type { Config } from '../../config/config.js'
import type { CallbackAnswer } from '../../contract/callback.js'
import { toInstant } from '../../contract/wire.js'
import { reasonOf } from '../../dispatch/kafka.js'
import type { ChapterCommand } from '../../domain/command.js'
import { InvalidRequestError, UnavailableError } from '../../errors.js'
import type { TextIntake } from '../../feed/text-intake.js'
import { webhookAuth } from '../../http/auth.js'
import { createHttpServer } from '../../http/server.js'
import { webhookRoutes } from '../../http/webhooks.js'
import type { DueJob } from '../../store/jobs.js'

/** `finished`: a result was taken. `failed`: it will not come. */
export type Outcome = 'finished' | 'failed'

export interface CallbacksOptions {
  config: Config
  print: (name: string, about: string, body?: unknown) => void
  /** Told once the worker has its answer. */
  onEnd: (outcome: Outcome) => void
}

const PASS_ON_TIMEOUT_MS = 30_000

/** The server’s webhooks with nothing behind them: everything that is valid is taken. */
export async function answerCallbacks({ config, job, print, onEnd }: CallbacksOptions & { job: DueJob }) {
  const app = await createHttpServer({ config, logger: silent(), isClosing: () => false })
  const groups = {
    submit: async (command: ChapterCommand) => {
      const { type } = command
      if (type === 'start') {
        print('start', 'asked whether to begin; answered: run')
        return { run: true, deadline_at: toInstant(Date.now() + config.generation.timeoutMs) }
      }
      if (type === 'progress') print('progress', `${command.progress} % ${command.message}`)
      if (type === 'finish') print('finish', 'the result, as the server would store it', stored(command))
      if (type === 'fail') {
        const { reason, error, retryable, retryAfterMs } = command
        print('fail', reason, { error, retryable, retry_after_s: retryAfterMs / 1000 })
      }
      const answer: CallbackAnswer = { status: 'success', message: 'shown', chapter_id: job.chapterId }
      return type === 'progress' ? { ...answer, cancelled: false } : answer
    },
  } as Pick<CommitGroups, 'submit'>

  const texts: Pick<TextIntake, 'post'> = {
    async post({ content }) {
      const isQuiz = 'quizzes' in content
      const length = isQuiz ? content.quizzes.length : (content.offset ?? 0) + content.text.length
      print('partial', `${length} ${isQuiz ? 'questions' : 'characters'} so far`)
      return { status: 'success', chapter_id: job.chapterId, length }
    },
  }

  /** @throws {InvalidRequestError} as the server would */
  function stored(command: ChapterCommand & { type: 'finish' }) {
    if (command.kind !== 'quiz') return command.result
    const { chapterId, locale, quizCount } = job
    const minShare = config.generation.quizMinShare
    const settled = settleQuiz(command.result, { chapterId, locale, quizCount, minShare })
    if ('violations' in settled) throw new InvalidRequestError(settled.violations)
    return settled.result
  }

  app.addHook('onResponse', async (request, reply) => {
    const { url } = request.routeOptions
    const isEnd = /-(finish|fail)$/.test(url ?? '')
    if (reply.statusCode === 200) {
      if (isEnd) onEnd(url?.endsWith('-finish') ? 'finished' : 'failed')
      return
    }
    print(
      'refused',
      `${request.method} ${request.url.split('?')[0]}: HTTP ${reply.statusCode}`,
      refusals.get(request),
    )
    if (isEnd) onEnd('failed')
  })
  const refusals = new WeakMap<object, unknown>()
  app.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode >= 400 && typeof payload === 'string') refusals.set(request, JSON.parse(payload))
    return payload
  })
  await app.register(webhookRoutes, {
    groups,
    texts,
    bodyLimitBytes: config.webhookBodyLimitBytes,
    authenticate: webhookAuth(config.webhookSecrets),
  })
  return app
}

/** Every callback goes to the server as it came, with its credentials, and the server’s answer comes back. */
export async function passOnCallbacks({
  config,
  publicUrl,
  print,
  onEnd,
}: CallbacksOptions & { publicUrl: string }) {
  const app = fastify({ loggerInstance: silent(), bodyLimit: config.webhookBodyLimitBytes })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.post('/v1/*', async (request, reply) => {
    const name = request.url.split('?')[0]?.split('/').at(-1) ?? ''
    print(name, 'passed on', shown(request.body))
    const { authorization, 'content-type': contentType } = request.headers
    const response = await fetch(`${publicUrl}${request.url}`, {
      method: 'POST',
      headers: {
        ...(authorization === undefined ? {} : { authorization }),
        ...(contentType === undefined ? {} : { 'content-type': contentType }),
      },
      body: String(request.body ?? ''),
      signal: AbortSignal.timeout(PASS_ON_TIMEOUT_MS),
    }).catch((error: unknown) => {
      print('', `the server does not answer at ${publicUrl} (PUBLIC_URL): ${reasonOf(error)}`)
      throw new UnavailableError('The server behind this command does not answer')
    })
    const text = await response.text()
    const answer = shown(text)
    print('', `answered HTTP ${response.status}`, answer)
    reply.raw.once('finish', () => {
      const { run, status, cancelled } = (answer ?? {}) as Record<string, unknown>
      const isRefused = response.status >= 400 && response.status < 500
      if (run === false || cancelled === true) onEnd('failed')
      else if (/-(finish|fail)$/.test(name) && (response.ok || isRefused))
        onEnd(response.ok && status !== 'ignored' && name.endsWith('-finish') ? 'finished' : 'failed')
    })
    return reply
      .code(response.status)
      .header('content-type', response.headers.get('content-type') ?? 'application/json')
      .send(text)
  })
  return app
}

function shown(text: unknown): unknown {
  try {
    return JSON.parse(String(text))
  } catch {
    return String(text).slice(0, 2000)
  }
}

function silent(): FastifyBaseLogger {
  return fastify({ logger: { level: 'silent' } }).log
}
