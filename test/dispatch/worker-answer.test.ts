/** What each answer to a job means; what becomes of it is in `http-queue.test.ts`. */
import t from 'tap'
import { JOB_KINDS, type JobKind } from '../../src/contract/job.js'
import { outcomeOf } from '../../src/dispatch/worker-answer.js'
import { FINISH_BODIES } from '../support/client.js'
import { MESSAGE } from '../support/message.js'

function outcome(status: number, body: unknown = '', kind: JobKind = 'concept', isCut = false) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return outcomeOf({ ...MESSAGE, kind }, { status, body: Buffer.from(text), isCut })
}

t.test('an answer says by its status whether the worker has the job', async (t) => {
  for (const status of [202, 204, 409])
    t.match(outcome(status, 'whatever'), { type: 'accepted' }, `${status}`)
  for (const status of [404, 502, 503, 504])
    t.match(outcome(status), { type: 'later', reason: 'unavailable' }, `${status}`)
  t.match(outcome(429), { type: 'later', reason: 'rate_limited' })
  for (const status of [201, 206, 301, 302, 307, 400, 401, 403, 405, 408, 413, 422, 500, 501, 505])
    t.match(outcome(status), { type: 'failed', reason: 'model_error' }, `${status}`)
})

t.test('a refusal says in its own words why, in one line', async (t) => {
  const errors = [
    [{ message: 'Error in workflow' }, 'the worker answered 500: Error in workflow'],
    [{ error: { message: 'no model' }, code: 3 }, 'the worker answered 500: no model'],
    [{ detail: 'no\n model\0' }, 'the worker answered 500: no model'],
    ['<h1>Oops</h1>', 'the worker answered 500: <h1>Oops</h1>'],
    ['', 'the worker answered 500'],
  ] as const
  for (const [body, error] of errors) t.match(outcome(500, body), { error })
  const long = outcome(500, 'x'.repeat(10_000))
  t.ok('error' in long && long.error.length < 300)
})

t.test('200 with a result is the finish, in every shape that the judge reads', async (t) => {
  for (const kind of JOB_KINDS) {
    const result = FINISH_BODIES[kind]
    const text = JSON.stringify(result)
    for (const body of [
      result,
      text,
      { raw: text },
      { raw: `Here it is:\n\`\`\`json\n${text}\n\`\`\`` },
      `Here it is:\n\`\`\`json\n${text}\n\`\`\``,
      [{ output: text }],
      { message: { role: 'assistant', content: text } },
      { choices: [{ message: { content: text } }] },
      { ...result, job_id: MESSAGE.job_id, attempt: 1 },
    ])
      t.match(
        outcome(200, body, kind),
        { type: 'result', answer: { kind } },
        JSON.stringify(body).slice(0, 60),
      )
  }
  t.match(outcome(200, FINISH_BODIES.quiz.quizzes, 'quiz'), { type: 'result' })
})

t.test('200 that says no more than “I have it” means that the worker calls back', async (t) => {
  for (const body of [
    '',
    ' \r\n',
    {},
    [],
    'null',
    'true',
    '1',
    'OK',
    '"accepted"',
    { message: 'Workflow was started' },
    { message: 'Workflow got started.' },
    [{ message: 'Workflow was started' }],
    { ok: true },
    { status: 'success', message: 'concept stored', chapter_id: 1 },
    { data: { id: 17, state: 'queued', eta: null }, links: [] },
    { result: 'ok' },
    { error: null, queued: true },
    // The message itself, which some services answer with.
    { ...MESSAGE, current: FINISH_BODIES.concept },
  ])
    t.strictSame(outcome(200, body), { type: 'accepted' }, JSON.stringify(body))
})

t.test('200 that was meant as a result and is none costs the attempt, and says what was wrong', async (t) => {
  for (const body of [
    { title: 'x' },
    { title: '', content: '…' },
    { raw: 'I cannot help with that.' },
    { raw: '' },
    { output: 'I cannot help with that.' },
    { response: 'I cannot help with that.' },
    { message: { role: 'assistant', content: 'Sorry' } },
    { message: `I am sorry, ${'but '.repeat(60)}` },
    { note: '{"title": "cut o' },
    'I cannot help with that.',
    '"I cannot help with that."',
    '<!doctype html><title>Sign in</title>',
    '{"title": "a", "content": "b',
    { ...FINISH_BODIES.concept, job_id: 'ffffffff-0000-4000-8000-000000000000' },
    { ...FINISH_BODIES.concept, attempt: 2 },
  ])
    t.match(
      outcome(200, body),
      { type: 'failed', reason: 'invalid_result', error: /\S/ },
      JSON.stringify(body),
    )
  t.match(outcome(200, { error: { message: 'the model is gone' } }), {
    type: 'failed',
    reason: 'model_error',
    error: 'the worker answered 200: the model is gone',
  })
  t.match(outcome(200, { title: 'x' }), { error: '/body/content is required' })
})

t.test('an answer that is too long or too nested is refused unread', async (t) => {
  t.match(outcome(200, JSON.stringify(FINISH_BODIES.concept), 'concept', true), {
    type: 'failed',
    reason: 'invalid_result',
  })
  t.match(outcome(200, '['.repeat(50_000)), { type: 'failed', reason: 'invalid_result' })
})
