import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { GenerationMessage } from '../../src/contract/generation.js'
import { TOPICS } from '../../src/contract/generation.js'
import type { JobKind } from '../../src/contract/job.js'
import { buildTestApp } from '../support/app.js'
import { freePort, waitFor } from '../support/condition.js'
import { kafkaConfig, readTopics } from '../support/kafka.js'
import { scale } from '../support/scale.js'

const LONG = { timeoutMs: 150_000 }
const RESULT = { title: '변수', content: '# 변수\n\n이름입니다.' }

t.jobs = 3
const test = (name: string, run: (t: Test) => Promise<void>) => t.test(name, { buffered: true }, run)
const testOfAll = scale(0, 1) ? test : () => {}

test('`npm run job` publishes a sample, shows what comes back, and ends well with the result', async (t) => {
  const job = await run(t, ['--kind', 'concept', '--locale', 'en', '--metadata', '{"level": "beginner"}'])
  const { message } = job
  t.match(message, { kind: 'concept', attempt: 1, locale: 'en', metadata: { level: 'beginner' } })
  const named = { job_id: message.job_id, attempt: 1 }
  t.match(await post(message.callback.start_url, named), { status: 200, body: { run: true } })
  const progress = { ...named, kind: 'concept', progress: 10, message: 'asked' }
  t.match(await post(message.callback.progress_url, progress), { body: { cancelled: false } })
  t.match(await post(message.callback.finish_url, { ...RESULT, ...named }), { body: { status: 'success' } })
  t.equal(await job.exitCode, 0)
  for (const shown of [/published .*concept-generation/, /start/, /10 % asked/, /finish/, /이름입니다/])
    t.match(job.output(), shown)
})

testOfAll('a result that the server would refuse is refused here in the same words', async (t) => {
  const job = await run(t, ['--kind', 'quiz'])
  const { callback, job_id } = job.message
  const quiz = { question: 'Which?', correct_answer: 'c', options: ['a', 'b'] }
  const answer = await post(callback.finish_url, { quizzes: [quiz], job_id, attempt: 1 })
  t.match(answer, { status: 400, body: { errors: [{ path: '/body/quizzes/0/correct_answer' }] } })
  t.equal(await job.exitCode, 1)
  t.match(job.output(), /must be one of the options/)
})

testOfAll('a worker that says it failed, or does not know the secret, is shown as such', async (t) => {
  const job = await run(t, ['--kind', 'exercise'], { WEBHOOK_SECRET: 'sesame' })
  const { callback, job_id } = job.message
  t.match(await post(callback.start_url, { job_id, attempt: 1 }), { status: 401 })
  const failure = { error: 'too many', reason: 'rate_limited', retry_after_s: 20, job_id, attempt: 1 }
  t.match(await post(callback.fail_url, failure, 'Bearer sesame'), { status: 200 })
  t.equal(await job.exitCode, 1)
  t.match(job.output(), /refused .*exercise-start: HTTP 401/)
  t.match(job.output(), /rate_limited/)
  t.notMatch(job.output(), /sesame/)
})

test('with --chapter it is the job’s own attempt again, and its callbacks reach the server', async (t) => {
  const { url } = await buildTestApp(t, { WEBHOOK_SECRET: 'sesame' })
  const chapter = { course_id: 7, owner_id: 8, title: '반복문', metadata: { level: '초급' }, quiz_count: 2 }
  const { body: created } = await post(`${url}/v1/chapter/`, chapter)
  const id = String(created.chapter_id)
  const job = await run(t, ['--kind', 'concept', '--chapter', id], { PUBLIC_URL: url })
  const view = await read(`${url}/v1/chapter/${id}`)
  const [concept] = view.jobs as { job_id: string; attempt: number; max_attempts: number }[]
  const { job_id, attempt, max_attempts } = concept ?? {}
  const expected = {
    ...chapter,
    kind: 'concept',
    chapter_id: created.chapter_id,
    job_id,
    attempt,
    max_attempts,
  }
  t.match(job.message, expected)

  const { callback } = job.message
  const named = { job_id, attempt }
  t.match(await post(callback.start_url, named), { status: 401 }, 'the server decides')
  t.match(await post(callback.start_url, named, 'Bearer sesame'), { body: { run: true } })
  const finish = await post(callback.finish_url, { ...RESULT, ...named }, 'Bearer sesame')
  t.match(finish, { status: 200, body: { status: 'success' } })
  t.equal(await job.exitCode, 0)
  t.match(job.output(), /concept-start +passed on[\s\S]*answered HTTP 401[\s\S]*concept-finish +passed on/)
  const learning = await read(`${url}/v1/chapter/${id}/learning`)
  t.match(learning.concept, { ...RESULT, is_complete: true })

  const again = await refused(t, ['--kind', 'concept', '--chapter', id], { PUBLIC_URL: url })
  t.match(again, /concept of chapter \d+ is completed/)
  t.match(
    await refused(t, ['--kind', 'quiz', '--chapter', '999'], { PUBLIC_URL: url }),
    /there is no chapter 999/,
  )
})

test('what cannot be done is said in a line', async (t) => {
  t.match(await refused(t, ['--kind', 'poem']), /--kind poem must be one of concept, exercise, quiz/)
  t.match(await refused(t, ['--kind', 'quiz', '--timeout', '1']), /time is up/)
  if (scale(0, 1) === 0) return
  const nowhere = `http://127.0.0.1:${await freePort()}`
  t.match(await refused(t, []), /--kind is missing/)
  t.match(await refused(t, ['--kind', 'quiz', '--what']), /Unknown option '--what'/)
  t.match(await refused(t, ['--kind', 'quiz'], { KAFKA_BROKERS: '' }), /KAFKA_BROKERS is not set/)
  t.match(
    await refused(t, ['--kind', 'quiz', '--chapter', '1'], { PUBLIC_URL: nowhere }),
    /the server does not answer at .*PUBLIC_URL/,
  )
  t.match(
    await refused(t, ['--kind', 'quiz'], { KAFKA_BROKERS: nowhere.slice(7) }),
    /Kafka did not take the messages/,
  )
  const help = command(t, ['--help'])
  t.equal(await help.exitCode, 0)
  t.match(help.output(), /npm run job -- --kind/)
})

/** Begins the command and waits for its message in Kafka. */
async function run(t: Test, args: string[], env: Record<string, string> = {}) {
  const config = kafkaConfig()
  const job = command(t, args, { KAFKA_TOPIC_PREFIX: config.topicPrefix, ...env })
  await waitFor(
    'the message to be published',
    () => /^[\s\S]*published [\s\S]*\n {12}}/.test(job.output()),
    LONG,
  )
  const kind = args[1] as JobKind
  const records = await readTopics(t, config, [TOPICS[kind]])
  const { value, headers } = await waitFor('the message in Kafka', () => records[0], LONG)
  const message = JSON.parse(String(value)) as GenerationMessage
  t.equal(String(headers?.['job-id']), message.job_id)
  return { ...job, message }
}

/** What the command says when it ends with 1. */
async function refused(t: Test, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { topicPrefix } = kafkaConfig()
  const job = command(t, args, { KAFKA_TOPIC_PREFIX: topicPrefix, ...env })
  t.equal(await job.exitCode, 1)
  t.notMatch(job.output(), /^\s+at .*\.[jt]s:\d+/m, 'no stack')
  return job.output()
}

function command(t: Test, args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['dist/tools/job/main.js', ...args], {
    env: { ...process.env, DATABASE_URL: '', REDIS_URL: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
    })
  return { output: () => said, exitCode: once(child, 'close').then(([code]) => code as number | null) }
}

async function post(url: string, body: object, authorization?: string) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

async function read(url: string): Promise<Record<string, unknown>> {
  return (await fetch(url)).json() as Promise<Record<string, unknown>>
}
