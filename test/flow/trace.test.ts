import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { parentOf } from '../../src/dispatch/message.js'
import { buildTestApp } from '../support/app.js'
import { post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { recordingQueue } from '../support/recording-queue.js'

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

t.test('a request’s trace goes on in the messages that it causes, of later attempts too', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, { GENERATION_RETRY_BASE_MS: '0' }, { queue })
  const created = await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, { traceparent: TRACEPARENT })
  await waitFor('three messages are sent', () => queue.messages.length === 3)
  t.same(queue.messages.map(parentOf), [TRACEPARENT, TRACEPARENT, TRACEPARENT])

  const { chapter_id } = created.body
  const { job_id, attempt } = queue.messages.find(({ kind }) => kind === 'quiz') ?? {}
  await post(`${url}/v1/chapter/${chapter_id}/quiz-fail`, { error: 'no', job_id, attempt })
  const again = await waitFor('the second attempt is sent', () => queue.messages[3])
  t.equal(again.attempt, 2)
  t.equal(parentOf(again), TRACEPARENT)
})

t.test('a trace that is none is no reason to refuse a chapter', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, {}, { queue })
  t.equal((await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, { traceparent: 'garbage' })).status, 201)
  await waitFor('three messages are sent', () => queue.messages.length === 3)
  t.same(queue.messages.map(parentOf), [undefined, undefined, undefined])
})
