/**
 * `npm run job -- --kind quiz`: publishes one message to Kafka and shows what a worker calls back, for whoever
 * works on an n8n workflow.
 *
 * Without `--chapter` it is a sample: a job of its own, of no chapter, whose webhooks this command answers itself as
 * the server would. With `--chapter` it is an existing job’s current attempt again; its callbacks are shown here
 * and passed on to the server, which decides. Ends with 0 when the result was taken, else with 1.
 */
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import { type Config, readConfig } from '../../config/config.js'
import { readEnvFile } from '../../config/env-file.js'
import { ChapterView, DEFAULT_QUIZ_COUNT } from '../../contract/chapter.js'
import { TOPICS } from '../../contract/generation.js'
import { JOB_KINDS, MAX_QUIZZES } from '../../contract/job.js'
import { isRecord } from '../../contract/record.js'
import { LOCALES, MAX_ID } from '../../contract/scalar.js'
import { compileCheck } from '../../contract/validation.js'
import { reasonOf } from '../../dispatch/kafka.js'
import { createKafkaQueue } from '../../dispatch/kafka-queue.js'
import { jobMessage } from '../../dispatch/message.js'
import { ConfigError, UnavailableError } from '../../errors.js'
import type { DueJob } from '../../store/jobs.js'
import { answerCallbacks, type Outcome, passOnCallbacks } from './callbacks.js'

const HELP = `Publishes one job to Kafka and shows what a worker calls back.

  npm run job -- --kind ${JOB_KINDS.join('|')} [options]

  --chapter ID         an existing job's current attempt again; otherwise a sample
  --token JWT          for reading the chapter, where clients need a token
  --title TEXT         of the sample; also --description TEXT, --locale ko|en,
                       --quiz-count N and --metadata JSON
  --host NAME          where the worker reaches this command (127.0.0.1)
  --port PORT          on which it listens there (a free one)
  --timeout SECONDS    how long it waits for the end (300)

KAFKA_BROKERS names the brokers, PUBLIC_URL the server; see .env.example.`

/** The command cannot be done. The message is for the user. */
class JobCommandError extends Error {
  override readonly name = 'JobCommandError'
}

const PUBLISH_TIMEOUT_MS = 10_000
const READ_TIMEOUT_MS = 10_000
const DEFAULT_TIMEOUT_S = 300
const LOOPBACK = '127.0.0.1'

const checkView = compileCheck(ChapterView, 'response')

async function main(args: string[]): Promise<number> {
  const options = readOptions(args)
  if (options === undefined) {
    console.log(HELP)
    return 0
  }
  const { chapter, host, port, timeoutMs } = options
  // This command is no server: what a production server needs is not asked for.
  const envFile = readEnvFile()
  const config = readConfig({ ...process.env, NODE_ENV: undefined }, envFile)
  if (envFile !== undefined) print('settings', `read from ${envFile.file}`)
  const { kafka } = config
  if (kafka === undefined)
    throw new JobCommandError(
      'KAFKA_BROKERS is not set: there is no Kafka to publish to, such as localhost:9092',
    )

  const publicUrl = config.publicUrl ?? `http://localhost:${config.port}`
  const { job, deadlineAt } =
    chapter === undefined ? sampleJob(options, config) : await currentJob(publicUrl, chapter, options)
  let end = (_outcome: Outcome) => {}
  const ended = new Promise<Outcome>((resolve) => {
    end = resolve
  })
  const server =
    chapter === undefined
      ? await answerCallbacks({ config, job, print, onEnd: end })
      : await passOnCallbacks({ config, publicUrl, print, onEnd: end })
  const queue = createKafkaQueue({ kafka, log: fastify({ logger: { level: 'silent' } }).log })
  try {
    await server.listen({ host: host === LOOPBACK ? LOOPBACK : '0.0.0.0', port }).catch((error: Error) => {
      throw new JobCommandError(`cannot listen on port ${port}: ${error.message}`)
    })
    const { port: listening } = server.addresses()[0] as { port: number }
    const message = jobMessage(job, `http://${host}:${listening}`, deadlineAt)
    await queue.publish([message], AbortSignal.timeout(PUBLISH_TIMEOUT_MS))
    print('published', `${kafka.topicPrefix}${TOPICS[job.kind]} at ${kafka.brokers.join(',')}`, message.value)
    const timer = setTimeout(() => {
      print('time is up', `no end within ${timeoutMs / 1000} s; does a worker listen?`)
      end('failed')
    }, timeoutMs)
    const outcome = await ended
    clearTimeout(timer)
    return outcome === 'finished' ? 0 : 1
  } finally {
    await Promise.all([queue.close(), server.close()])
  }
}

interface CurrentJob {
  job: DueJob
  deadlineAt: number
}

function sampleJob({ kind, sample }: Options, { generation }: Config): CurrentJob {
  const now = Date.now()
  const job = {
    ...sample,
    kind,
    jobId: randomUUID(),
    attempt: 1,
    maxAttempts: generation.maxAttempts,
    requestedAt: now,
    chapterId: 1,
    courseId: 1,
    ownerId: 1,
    traceparent: null,
    reason: null,
    error: null,
  }
  return { job, deadlineAt: now + generation.queueTimeoutMs }
}

/** What the server shows of the job, as its message has it; only `requested_at` is the chapter’s. */
async function currentJob(publicUrl: string, id: number, { kind, token }: Options): Promise<CurrentJob> {
  const url = `${publicUrl}/v1/chapter/${id}`
  const view = await readChapter(url, id, token)
  const job = view.jobs.find((each) => each.kind === kind)
  if (job === undefined || (job.status !== 'queued' && job.status !== 'published'))
    throw new JobCommandError(
      `the ${kind} of chapter ${id} is ${job?.status ?? 'not there'}: only a job that is queued or published has work ` +
        `to be done${job?.status === 'failed' ? `; POST ${url}/retry starts it again` : ''}`,
    )
  return {
    job: {
      kind,
      jobId: job.job_id,
      attempt: job.attempt,
      maxAttempts: job.max_attempts,
      requestedAt: Date.parse(view.created_at),
      chapterId: view.chapter_id,
      courseId: view.course_id,
      ownerId: view.owner_id,
      title: view.title,
      description: view.description,
      locale: view.locale,
      quizCount: view.quiz_count,
      metadata: view.metadata,
      traceparent: null,
      reason: job.error?.reason ?? null,
      error: job.error?.message ?? null,
    },
    deadlineAt: Date.parse(job.deadline_at ?? view.updated_at),
  }
}

async function readChapter(url: string, id: number, token: string | undefined): Promise<ChapterView> {
  const response = await fetch(url, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(READ_TIMEOUT_MS),
  }).catch((error: unknown) => {
    throw new JobCommandError(`the server does not answer at ${url} (PUBLIC_URL): ${reasonOf(error)}`)
  })
  if (response.status === 404) throw new JobCommandError(`there is no chapter ${id} at ${url}`)
  if (response.status === 401 || response.status === 403)
    throw new JobCommandError(
      `the server refused to show chapter ${id} (HTTP ${response.status}): give a --token`,
    )
  const view: unknown = await response.json().catch(() => undefined)
  if (!response.ok || checkView(view).length > 0)
    throw new JobCommandError(
      `${url} answered HTTP ${response.status}, and not with a chapter: check PUBLIC_URL`,
    )
  return view as ChapterView
}

type Options = NonNullable<ReturnType<typeof readOptions>>

/** undefined: help is wanted. */
function readOptions(args: string[]) {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args,
    options: {
      kind: text,
      chapter: text,
      token: text,
      title: text,
      description: text,
      locale: text,
      'quiz-count': text,
      metadata: text,
      host: text,
      port: text,
      timeout: text,
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return undefined
  const { title = '변수와 자료형', description = 'Python 기초', locale = 'ko', host = LOOPBACK } = values
  return {
    kind: oneOf('--kind', values.kind, JOB_KINDS),
    chapter: values.chapter === undefined ? undefined : whole('--chapter', values.chapter, 1, MAX_ID),
    token: values.token,
    sample: {
      title,
      description,
      locale: oneOf('--locale', locale, LOCALES),
      quizCount: whole('--quiz-count', values['quiz-count'] ?? String(DEFAULT_QUIZ_COUNT), 1, MAX_QUIZZES),
      metadata: objectOf('--metadata', values.metadata ?? '{}'),
    },
    host,
    port: whole('--port', values.port ?? '0', 0, 65_535),
    timeoutMs: 1000 * whole('--timeout', values.timeout ?? String(DEFAULT_TIMEOUT_S), 1, 86_400),
  }
}

function oneOf<T extends string>(name: string, given: string | undefined, values: readonly T[]): T {
  const value = values.find((each) => each === given)
  if (value === undefined)
    throw new JobCommandError(`${name} ${given ?? 'is missing: it'} must be one of ${values.join(', ')}`)
  return value
}

function whole(name: string, given: string, min: number, max: number): number {
  const value = /^\d+$/.test(given) ? Number(given) : Number.NaN
  if (value >= min && value <= max) return value
  throw new JobCommandError(`${name} ${given} must be a whole number from ${min} to ${max}`)
}

function objectOf(name: string, given: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(given)
    if (isRecord(value)) return value
  } catch {}
  throw new JobCommandError(`${name} ${given} must be a JSON object`)
}

function print(name: string, about: string, body?: unknown): void {
  console.log(`${new Date().toISOString().slice(11, 19)}  ${name.padEnd(10)}  ${about}`)
  if (body !== undefined) console.log(JSON.stringify(body, null, 2).replaceAll(/^/gm, '            '))
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const isForPeople =
      error instanceof JobCommandError ||
      error instanceof ConfigError ||
      error instanceof UnavailableError ||
      String((error as { code?: unknown })?.code).startsWith('ERR_PARSE_ARGS')
    console.error(isForPeople ? `${(error as Error).message}\n(npm run job -- --help)` : error)
    process.exit(1)
  },
)
