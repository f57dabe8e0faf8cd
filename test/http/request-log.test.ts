/**
 * What requests leave in the log.
 */
import t from 'tap'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp } from '../support/app.js'
import { FINISH_BODIES, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { type LogLine, silentLog } from '../support/log.js'
import { recordingQueue } from '../support/recording-queue.js'

/** The log of one app, and the lines of one request in it. */
function recordingLogger(level = 'info') {
  const lines: LogLine[] = []
  const logger = Object.assign(
    silentLog((line) => lines.push(line)),
    { level },
  )
  return { logger, lines, linesOf: (id: string) => lines.filter(({ fields }) => fields.reqId === id) }
}

t.test('an answered request is one line, with its address, its status and its id', async (t) => {
  const { logger, linesOf } = recordingLogger()
  const { url } = await buildTestApp(t, {}, { logger })
  const get = (path: string, id: string) => fetch(url + path, { headers: { 'x-request-id': id } })
  await get('/healthz', 'health')
  await get('/metrics', 'metrics')
  await get('/', 'page')
  await get('/web/favicon.svg', 'icon')
  await get('/v1/chapter/?limit=1', 'list')
  const lines = await waitFor('the line is written', () => linesOf('list').length > 0 && linesOf('list'))
  t.match(lines, [
    {
      level: 'info',
      text: 'request completed',
      fields: { method: 'GET', url: '/v1/chapter/?limit=1', statusCode: 200 },
    },
  ])
  t.equal(lines.length, 1)
  const quiet = ['health', 'metrics', 'page', 'icon'].flatMap(linesOf)
  t.same(quiet, [], 'health checks, metrics and files are not logged')
})

t.test('where only warnings are logged, answered requests are not', async (t) => {
  const { logger, linesOf } = recordingLogger('warn')
  const { url } = await buildTestApp(t, {}, { logger })
  const get = (path: string, id: string) => fetch(url + path, { headers: { 'x-request-id': id } })
  await get('/v1/chapter/?limit=1', 'list')
  await get('/v1/chapter/abc', 'refused')
  await waitFor('the second request is over', () => linesOf('refused').length > 0)
  t.same(linesOf('list'), [])
})

t.test('a refused request is one line, with its status and why', async (t) => {
  const { logger, linesOf } = recordingLogger()
  const { url } = await buildTestApp(t, {}, { logger })
  const get = (path: string, id: string) => fetch(url + path, { headers: { 'x-request-id': id } })
  await get('/v1/chapter/abc', 'refused')
  await get('/nowhere', 'nowhere')
  await get('/v1/chapter/?limit=1', 'marker')
  await waitFor('the last line is written', () => linesOf('marker').length > 0)
  t.match(linesOf('refused'), [
    {
      level: 'info',
      text: 'refused',
      fields: { method: 'GET', url: '/v1/chapter/abc', statusCode: 400, code: 'invalid_request' },
    },
  ])
  t.match(linesOf('nowhere'), [{ text: 'refused', fields: { statusCode: 404, code: 'route_not_found' } }])
  t.same([linesOf('refused').length, linesOf('nowhere').length], [1, 1])
})

t.test('a token in an address is not in the log, whether the request is answered or refused', async (t) => {
  const { logger, lines, linesOf } = recordingLogger()
  const { url } = await buildTestApp(t, {}, { logger })
  for (const path of ['/v1/chapter/1/events?token=s3cret', '/nowhere?a=1&access_token=s3cret&b=2'])
    await fetch(url + path, { headers: { 'x-request-id': path[1] ?? '' } })
  await waitFor('both lines are written', () => linesOf('v').length > 0 && linesOf('n').length > 0)
  t.notMatch(JSON.stringify(lines), 's3cret')
  t.match(linesOf('n'), [{ fields: { url: '/nowhere?a=1&access_token=…&b=2' } }])
})

t.test('the line of a callback names the work, its trace, and the answer', async (t) => {
  const { logger, lines, linesOf } = recordingLogger()
  const queue = recordingQueue()
  const { url } = await buildTestApp(t, {}, { logger, queue })
  await post(`${url}/v1/chapter/`, CREATE_EXAMPLE)
  const message = await waitFor('it is sent', () => queue.messages.find(({ kind }) => kind === 'concept'))
  const { job_id, attempt, chapter_id, callback } = message
  const traceparent = queue.headers[queue.messages.indexOf(message)]?.traceparent ?? ''
  const trace_id = job_id.replaceAll('-', '')
  const call = (address: string, body: object, id: string) =>
    post(address, body, { traceparent, 'x-request-id': id })
  const work = { chapter_id, kind: 'concept', job_id, attempt, trace_id }

  await call(callback.start_url, { job_id, attempt }, 'start')
  await call(`${url}/v1/chapter/${chapter_id}/progress`, progressOf(message), 'progress')
  await call(callback.finish_url, { title: '' }, 'unusable')
  await call(callback.finish_url, FINISH_BODIES.concept, 'late')
  await waitFor('all lines are written', () => linesOf('late').length > 0)
  t.match(linesOf('start'), [{ fields: { ...work, answer: 'run' } }])
  t.match(linesOf('progress'), [{ fields: { ...work, answer: 'success' } }])
  t.match(linesOf('unusable'), [
    { text: 'refused', fields: { ...work, statusCode: 400, code: 'invalid_request' } },
  ])
  t.match(linesOf('late'), [{ fields: { ...work, answer: 'success' } }])
  t.notMatch(JSON.stringify(lines), FINISH_BODIES.concept.content, 'no text of a chapter')
})

function progressOf({ job_id, attempt, kind }: { job_id: string; attempt: number; kind: string }) {
  return { job_id, attempt, kind, progress: 10, message: 'writing' }
}

t.test('no two requests have the same id', async (t) => {
  const { app } = await buildTestApp(t)
  const answers = await Promise.all(Array.from({ length: 200 }, () => app.inject('/healthz')))
  t.equal(new Set(answers.map(({ headers }) => headers['x-request-id'])).size, 200)
})
