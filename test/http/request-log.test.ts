/**
 * What requests leave in the log.
 */
import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { waitFor } from '../support/condition.js'
import { type LogLine, silentLog } from '../support/log.js'

/** The log of one app, and the lines of one request in it. */
function recordingLogger(level = 'info') {
  const lines: LogLine[] = []
  const logger = Object.assign(
    silentLog((line) => lines.push(line)),
    { level },
  )
  return { logger, linesOf: (id: string) => lines.filter(({ fields }) => fields.reqId === id) }
}

t.test('an answered request is one line, with its address, its status and its id', async (t) => {
  const { logger, linesOf } = recordingLogger()
  const { url } = await buildTestApp(t, {}, { logger })
  const get = (path: string, id: string) => fetch(url + path, { headers: { 'x-request-id': id } })
  await get('/healthz', 'health')
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
  t.same(linesOf('health'), [], 'health checks are not logged')
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

t.test('a refusal is logged with the id of its request', async (t) => {
  const { logger, linesOf } = recordingLogger()
  const { url } = await buildTestApp(t, {}, { logger })
  await fetch(`${url}/v1/chapter/abc`, { headers: { 'x-request-id': 'refused' } })
  const lines = await waitFor(
    'both lines are written',
    () => linesOf('refused').length > 1 && linesOf('refused'),
  )
  t.match(lines, [
    { level: 'info', text: 'refused', fields: { code: 'invalid_request' } },
    { level: 'info', text: 'request completed', fields: { statusCode: 400 } },
  ])
})

t.test('no two requests have the same id', async (t) => {
  const { app } = await buildTestApp(t)
  const answers = await Promise.all(Array.from({ length: 200 }, () => app.inject('/healthz')))
  t.equal(new Set(answers.map(({ headers }) => headers['x-request-id'])).size, 200)
})
