import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { recordingQueue } from '../support/recording-queue.js'

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const TRACEPARENT = `00-${TRACE_ID}-00f067aa0ba902b7-01`

t.test('a request’s trace goes on in the messages that it causes, of later attempts too', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, { GENERATION_RETRY_BASE_MS: '0' }, { queue })
  const created = await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, { traceparent: TRACEPARENT })
  await waitFor('three messages are sent', () => queue.messages.length === 3)
  const isOfTrace = ({ traceparent }: { traceparent: string }) =>
    new RegExp(`^00-${TRACE_ID}-[0-9a-f]{16}-01$`).test(traceparent)
  t.ok(queue.headers.every(isOfTrace), JSON.stringify(queue.headers))
  t.notMatch(queue.headers, [{ traceparent: TRACEPARENT }], 'each message is a span of its own')

  const { chapter_id } = created.body
  const { job_id, attempt } = queue.messages.find(({ kind }) => kind === 'quiz') ?? {}
  await post(`${url}/v1/chapter/${chapter_id}/quiz-fail`, { error: 'no', job_id, attempt })
  const again = await waitFor('the second attempt is sent', () => queue.messages[3])
  t.equal(again.attempt, 2)
  t.ok(isOfTrace(queue.headers[3] ?? { traceparent: '' }), JSON.stringify(queue.headers[3]))
})

t.test('an invalid traceparent is ignored, and each job is a trace of its own', async (t) => {
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, {}, { queue })
  t.equal((await post(`${url}/v1/chapter/`, CREATE_EXAMPLE, { traceparent: 'garbage' })).status, 201)
  await waitFor('three messages are sent', () => queue.messages.length === 3)
  for (const { traceparent, 'job-id': jobId } of queue.headers)
    t.match(traceparent, new RegExp(`^00-${jobId.replaceAll('-', '')}-[0-9a-f]{16}-01$`))
})
