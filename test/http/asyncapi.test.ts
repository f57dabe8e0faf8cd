/**
 * The AsyncAPI document: complete, its references lead somewhere, and what the server really sends fits it.
 */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import ajvFormats from 'ajv-formats'
import t from 'tap'
import { asyncApi } from '../../src/codegen/asyncapi.js'
import { EVENT_NAMES } from '../../src/contract/event.js'
import { DEAD_LETTER_TOPIC, TOPICS } from '../../src/contract/generation.js'
import { CLIENT_MESSAGES, SERVER_MESSAGES } from '../../src/contract/socket-messages.js'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, finish, type Heard, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postPartial, workOf } from '../support/partial.js'
import { recordingQueue } from '../support/recording-queue.js'

interface Reference {
  $ref: string
}
interface Document {
  asyncapi: string
  channels: Record<string, { address: string; servers: Reference[]; messages: Record<string, Reference> }>
  operations: Record<string, { action: string; messages: Reference[]; reply?: { messages: Reference[] } }>
  components: {
    messages: Record<string, { name: string; payload: object }>
    schemas: Record<string, object>
  }
}

const queue = recordingQueue()
const { app, url } = await buildTestApp(t, { GENERATION_MAX_ATTEMPTS: '1' }, { queue })
const document = (await app.inject('/asyncapi.json')).json<Document>()

function at(pointer: string): unknown {
  const steps = pointer.replace('#/', '').split('/')
  return steps.reduce<unknown>(
    (value, step) => (value as Record<string, unknown> | undefined)?.[step],
    document,
  )
}

t.test('every event, message and topic of the contract is there', async (t) => {
  t.match(document.asyncapi, /^3\./)
  const { chapter, course, connection, ...others } = document.channels
  const inRooms = [chapter, course, connection].flatMap((channel) => Object.keys(channel?.messages ?? {}))
  const client = Object.keys(CLIENT_MESSAGES)
  t.same(
    inRooms.sort(),
    [
      ...EVENT_NAMES,
      ...Object.keys(SERVER_MESSAGES),
      ...client,
      ...client.map((name) => `${name}_ack`),
    ].sort(),
  )
  const addresses = Object.values(others).map(({ address }) => address)
  for (const topic of [...Object.values(TOPICS), DEAD_LETTER_TOPIC]) t.ok(addresses.includes(topic), topic)
  const operated = new Set(
    Object.values(document.operations).flatMap(({ messages, reply }) =>
      [...messages, ...(reply?.messages ?? [])].map(({ $ref }) => $ref),
    ),
  )
  for (const [name, { messages }] of Object.entries(document.channels))
    for (const key of Object.keys(messages))
      t.ok(operated.has(`#/channels/${name}/messages/${key}`), `${name}: ${key} belongs to an operation`)
})

t.test('references lead somewhere', async (t) => {
  const references = new Set(JSON.stringify(document).match(/(?<="\$ref":")[^"]+/g))
  t.ok(references.size > 50)
  for (const reference of references) t.not(at(reference), undefined, reference)
})

t.test('src/contract/asyncapi.json is what the schemas say; if not, run: npm run generate', async (t) => {
  const file = new URL('../../src/contract/asyncapi.json', import.meta.url)
  t.same(JSON.parse(readFileSync(file, 'utf8')), JSON.parse(JSON.stringify(asyncApi())))
  t.same(document, JSON.parse(readFileSync(file, 'utf8')))
})

t.test('what the server sends and takes is what the document says', async (t) => {
  const ajv = new Ajv({ strict: false, allErrors: true })
  ajvFormats.default(ajv)
  ajv.addSchema(document, 'asyncapi')
  const seen = new Set<string>()
  const fits = (name: string, payload: unknown, about = name) => {
    seen.add(name)
    const valid = ajv.validate({ $ref: `asyncapi#/components/messages/${name}/payload` }, payload)
    t.ok(valid, `${about}: ${ajv.errorsText()} ${JSON.stringify(payload)}`)
    const { $ref } = (document.components.messages[name]?.payload ?? {}) as { $ref?: string }
    const known = Object.keys((at($ref ?? '#/components') as { properties?: object }).properties ?? {})
    if ($ref !== undefined)
      t.same(
        Object.keys(payload as object).filter((field) => !known.includes(field)),
        [],
        `${about} has no other fields`,
      )
  }
  const room = await connectSocket(t, url)
  const ask = async (name: string, payload: object) => {
    fits(name, payload)
    fits(`${name}_ack`, await room.ask(name, payload))
  }
  await ask('join_course', { course_id: 1 })
  fits('join_chapter_ack', await room.ask('join_chapter', { chapter_id: 'none' }), 'a refusal')
  const id = await createChapter(url)
  await ask('join_chapter', { chapter_id: id, after_seq: 0 })
  const names = await workOf(url, id, 'concept')
  await post(`${url}/v1/chapter/${id}/concept-start`, names)
  await post(`${url}/v1/chapter/${id}/progress`, { progress: 10, message: 'so far', kind: 'concept' })
  await postPartial(url, id, 'concept', { text: '변수는' }, names)
  const questions = [{ question: '다음 중 정수형은?', options: ['"42"', '42'], type: 'multiple' }]
  await postPartial(url, id, 'quiz', { quizzes: questions }, await workOf(url, id, 'quiz'))
  await room.hears('concept_partial')
  await room.hears('quiz_partial')
  const failure = { error: 'refused', reason: 'refused', retryable: false }
  await post(`${url}/v1/chapter/${id}/exercise-fail?attempt=1`, failure)
  for (const kind of ['concept', 'quiz'] as const) await finish(url, id, kind)
  await room.hears('chapter_failed')
  await post(`${url}/v1/chapter/${id}/retry`)
  await finish(url, id, 'exercise')
  await room.hears('all_completed')
  await post(`${url}/v1/chapter/${id}/concept/regenerate`, { instruction: '더 쉽게' })
  await room.hears('concept_regenerating')
  await waitFor('the regeneration is sent', () =>
    queue.of(id, 'concept').some(({ current }) => current !== null),
  )
  await post(`${url}/v1/chapter/${id}/cancel`)
  await room.hears('chapter_cancelled')
  await fetch(`${url}/v1/chapter/${id}`, { method: 'DELETE' })
  await room.hears('chapter_deleted')
  await ask('leave_chapter', { chapter_id: id })
  await ask('leave_course', { course_id: 1 })
  await ask('refresh_token', { token: 'none' })

  for (const { name, payload } of room.heard as Heard[]) fits(name, payload)
  for (const message of queue.messages) fits('generation', message, `generation of ${message.kind}`)
  for (const letter of queue.letters) fits('dead_letter', letter)
  const unseen = Object.keys(document.components.messages).filter(
    (name) => !seen.has(name) && !/_(timeout|retrying)$/.test(name),
  )
  // Each of these kinds is one shape, told of once; the last ones are not this test’s to cause.
  t.same(unseen.filter((name) => !/^(exercise|quiz|concept)_/.test(name)).sort(), [
    'generation_by_http',
    'notice',
    'token_expired',
  ])
})
