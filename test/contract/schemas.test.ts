import { type TSchema, Type } from '@sinclair/typebox'
import t from 'tap'
import * as callback from '../../src/contract/callback.js'
import * as chapter from '../../src/contract/chapter.js'
import * as event from '../../src/contract/event.js'
import * as generation from '../../src/contract/generation.js'
import * as job from '../../src/contract/job.js'
import * as problem from '../../src/contract/problem.js'
import * as scalar from '../../src/contract/scalar.js'
import * as socket from '../../src/contract/socket.js'
import { compileCheck } from '../../src/contract/validation.js'
import { FINISH_BODIES } from '../support/client.js'

const modules = { callback, chapter, event, generation, job, problem, scalar, socket }

t.test('every example that documentation shows is valid', async (t) => {
  let shown = 0
  for (const [file, module] of Object.entries(modules))
    for (const [name, exported] of Object.entries(module))
      for (const { at, schema } of schemasIn(exported, `${file}.${name}`))
        for (const example of (schema.examples as unknown[] | undefined) ?? []) {
          shown += 1
          t.same(compileCheck(withoutId(schema))(structuredClone(example)), [], at)
        }
  t.ok(shown >= 10, `${shown} examples`)
})

t.test('what the guide sends is valid as it stands', async (t) => {
  t.same(compileCheck(chapter.ChapterCreate)({ ...chapter.CREATE_EXAMPLE }), [])
  for (const kind of job.JOB_KINDS) {
    const check = compileCheck(callback.FINISHES[kind])
    t.same(check(structuredClone(FINISH_BODIES[kind])), [], kind)
    t.same(
      check({ ...FINISH_BODIES[kind], executionId: '231', extra: { any: ['thing'] } }),
      [],
      'and more beside it',
    )
    const named = { job_id: 'aaaaaaaa-0000-4000-8000-000000000001', attempt: 2 }
    t.same(check({ ...FINISH_BODIES[kind], ...named }), [])
    t.same(check({ ...FINISH_BODIES[kind], job_id: 'n8n', attempt: 0 }).length, 2)
  }
})

t.test('a quiz may leave its options and type to their defaults, or say null', async (t) => {
  const check = compileCheck(callback.QuizFinish)
  const item = { question: 'q', correct_answer: 'a' }
  const quizzes = (count: number, changes: object = {}) => ({
    quizzes: Array.from({ length: count }, () => ({ ...item, ...changes })),
  })
  t.same(check(quizzes(1)), [])
  t.same(check(quizzes(20, { options: null, type: 'short' })), [])
  for (const [body, path] of [
    [quizzes(0), '/body/quizzes'],
    [quizzes(21), '/body/quizzes'],
    [quizzes(1, { type: 'essay' }), '/body/quizzes/0/type'],
    [quizzes(1, { options: ['a', 1] }), '/body/quizzes/0/options/1'],
    [{ quizzes: [{ question: 'q' }] }, '/body/quizzes/0/correct_answer'],
  ] as const)
    t.same(
      check(body).map((violation) => violation.path),
      [path],
    )
})

t.test('a failure says at least what went wrong, and may say how and when to go on', async (t) => {
  const check = compileCheck(callback.FailCallback)
  t.same(check({ error: 'x' }), [])
  for (const reason of ['timeout', 'rate_limited', 'unavailable', 'model_error', 'invalid_result', 'refused'])
    t.same(check({ error: 'x', reason, retryable: false, retry_after_s: 3600 }), [])
  for (const bad of [
    {},
    { error: 'x', reason: 'bored' },
    { error: 'x', retry_after_s: 0 },
    { error: 'x', retry_after_s: 3601 },
  ])
    t.equal(check(bad).length, 1, JSON.stringify(bad))
})

t.test('a value outside a list is one violation, of whatever type it is', async (t) => {
  const check = compileCheck(
    Type.Object({
      plain: scalar.stringEnum(['a', 'b']),
      orNull: scalar.nullable(scalar.stringEnum(['a', 'b'])),
    }),
  )
  t.same(check({ plain: 'a', orNull: 'b' }), [])
  t.same(check({ plain: 'b', orNull: null }), [])
  t.same(check({ plain: 'c', orNull: 'c' }), [
    { path: '/body/plain', message: 'must be one of a, b', code: 'not_one_of', limit: ['a', 'b'] },
    {
      path: '/body/orNull',
      message: 'must be one of a, b, null',
      code: 'not_one_of',
      limit: ['a', 'b', 'null'],
    },
  ])
  const code = 'wrong_type'
  for (const value of [5, true, {}, []])
    t.same(check({ plain: value, orNull: value }), [
      { path: '/body/plain', message: 'must be string', code },
      { path: '/body/orNull', message: 'must be string or null', code },
    ])
  t.same(check({ plain: null, orNull: null }), [{ path: '/body/plain', message: 'must be string', code }])
})

t.test('a nullable schema keeps what else it says', async (t) => {
  const check = compileCheck(Type.Object({ at: scalar.nullable(Type.String({ maxLength: 2 })) }))
  t.same(check({ at: null }), [])
  t.same(check({ at: 'ab' }), [])
  t.equal(check({ at: 'abc' }).length, 1)
  t.equal(check({ at: 1 }).length, 1)
})

t.test('topics are named as n8n’s triggers expect them', async (t) => {
  t.same(generation.TOPICS, {
    concept: 'concept-generation',
    exercise: 'exercise-generation',
    quiz: 'quiz-generation',
  })
  t.equal(generation.DEAD_LETTER_TOPIC, 'generation-dead-letter')
})

t.test('a message to a worker has the fields that workers know, and a dead letter three more', async (t) => {
  const fields =
    'job_id kind attempt max_attempts chapter_id course_id owner_id title description locale quiz_count ' +
    'metadata requested_at deadline_at previous revision instruction current callback'
  t.same(Object.keys(generation.GenerationMessage.properties), fields.split(' '))
  t.same(Object.keys(generation.GenerationMessage.properties.callback.properties), [
    'start_url',
    'finish_url',
    'fail_url',
    'progress_url',
    'partial_url',
  ])
  t.same(Object.keys(generation.DeadLetter.properties), `${fields} reason error failed_at`.split(' '))
})

t.test('a room is named after its chapter', async (t) => {
  t.equal(socket.roomOf(42), 'chapter_42')
})

/** Every schema in a value, itself included, with where it stands. */
function schemasIn(value: unknown, at: string): { at: string; schema: TSchema }[] {
  if (typeof value !== 'object' || value === null) return []
  const here = 'type' in value && !Array.isArray(value) ? [{ at, schema: value as unknown as TSchema }] : []
  const inside = Object.entries(value).filter(([name]) => name !== 'examples')
  return [...here, ...inside.flatMap(([name, inner]) => schemasIn(inner, `${at}.${name}`))]
}

function withoutId({ $id: _id, ...schema }: TSchema): TSchema {
  return schema as TSchema
}
