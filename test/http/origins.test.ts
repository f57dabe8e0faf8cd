/**
 * CORS_ORIGIN on every way into the server: the origins that may call from a browser, and no others.
 */
import t from 'tap'
import { WebSocket } from 'ws'
import { CREATE_EXAMPLE } from '../../src/contract/chapter.js'
import { buildTestApp, type TestApp } from '../support/app.js'
import { connectSocket } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { embeddedDatabase } from '../support/database.js'
import { openRawHttp, requestText } from '../support/raw-http.js'

const ALLOWED = 'https://school.example'
const FOREIGN = [
  'https://evil.example',
  'https://school.example.evil.example',
  'http://school.example',
  'https://school.example:444',
  'null',
  '',
  'https://school.example, https://evil.example',
]
const testApp = await buildTestApp(t, { CORS_ORIGIN: ALLOWED })
const embedded = await buildTestApp(t, { CORS_ORIGIN: ALLOWED }, { database: await embeddedDatabase(t) })
const APPS: Record<string, TestApp> = { PostgreSQL: testApp, 'the embedded database': embedded }

const HANDSHAKE = '/socket.io/?EIO=4&transport=polling'

/** Opens a websocket by hand; what the server said. */
async function upgradeStatus(url: string, headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    headers,
  })
  return new Promise((resolve, reject) => {
    socket.on('open', () => {
      socket.terminate()
      resolve(101)
    })
    socket.on('unexpected-response', (request, { statusCode }) => {
      request.destroy()
      resolve(statusCode ?? 0)
    })
    socket.on('error', reject)
  })
}

for (const [name, { app, url }] of Object.entries(APPS)) {
  t.test(`a page of another origin reads nothing and changes nothing, on ${name}`, async (t) => {
    const { chapter_id: id } = (
      await app.inject({ method: 'POST', url: '/v1/chapter/', payload: CREATE_EXAMPLE })
    ).json()
    const requests = [
      { method: 'GET', url: `/v1/chapter/${id}` },
      { method: 'GET', url: '/v1/chapter/' },
      { method: 'GET', url: `/v1/chapter/${id}/events`, headers: { accept: 'text/event-stream' } },
      { method: 'GET', url: '/nowhere' },
      { method: 'GET', url: '/docs/json' },
      { method: 'HEAD', url: `/v1/chapter/${id}` },
      { method: 'POST', url: '/v1/chapter/', payload: CREATE_EXAMPLE },
      { method: 'POST', url: `/v1/chapter/${id}/cancel` },
      { method: 'POST', url: `/v1/chapter/${id}/concept-finish`, payload: { title: 'a', content: 'b' } },
      {
        method: 'POST',
        url: `/v1/chapter/${id}/cancel`,
        payload: 'x',
        headers: { 'content-type': 'text/plain' },
      },
      { method: 'OPTIONS', url: '/v1/chapter/', headers: { 'access-control-request-method': 'POST' } },
    ] as const
    for (const origin of FOREIGN)
      for (const request of requests) {
        const headers = { ...('headers' in request ? request.headers : {}), origin }
        const response = await app.inject({ ...request, headers })
        const about = `${request.method} ${request.url} from ${JSON.stringify(origin)}`
        t.equal(response.statusCode, 403, about)
        if (request.method !== 'HEAD') t.match(response.json(), { code: 'origin_not_allowed' }, about)
        t.notOk(response.headers['access-control-allow-origin'], about)
      }
    t.equal((await app.inject(`/v1/chapter/${id}`)).json().status, 'processing', 'nothing was changed')
    t.equal((await app.inject('/v1/chapter/')).json().items.length, 1, 'nothing was created')
  })

  t.test(`a page of another origin opens no socket, by polling or by websocket, on ${name}`, async (t) => {
    const opened = await fetch(url + HANDSHAKE)
    const { sid } = JSON.parse((await opened.text()).slice(1))
    const session = `${url}${HANDSHAKE}&sid=${sid}`
    for (const origin of FOREIGN) {
      const headers = { origin }
      const refused = [
        await fetch(url + HANDSHAKE, { headers }),
        await fetch(session, { headers }),
        await fetch(session, { method: 'POST', body: '40', headers }),
        await fetch(session, { method: 'OPTIONS', headers }),
      ]
      for (const response of refused) {
        t.equal(response.status, 403, origin)
        t.match(response.headers.get('content-type'), 'application/problem+json')
        t.notOk(response.headers.get('access-control-allow-origin'))
      }
      t.equal(await upgradeStatus(url, headers), 403, origin)
    }
  })

  t.test(
    `pages of the listed origin, the server’s own page, and programs are served, on ${name}`,
    async (t) => {
      for (const origin of [ALLOWED, url]) {
        const created = await app.inject({
          method: 'POST',
          url: '/v1/chapter/',
          payload: CREATE_EXAMPLE,
          headers: { origin, host: new URL(url).host },
        })
        t.equal(created.statusCode, 201, origin)
        t.equal((await fetch(url + HANDSHAKE, { headers: { origin } })).status, 200, origin)
        t.equal(await upgradeStatus(url, { origin }), 101, origin)
      }
      t.equal((await app.inject('/v1/chapter/')).statusCode, 200)
      t.equal(await upgradeStatus(url, {}), 101)
      const { socket } = await connectSocket(t, url)
      t.ok(socket.connected)
    },
  )
}

t.test('a picture or a script of another page gets nothing, though it names no origin', async (t) => {
  const get = (site: string, mode: string) =>
    testApp.app.inject({ url: '/v1/chapter/', headers: { 'sec-fetch-site': site, 'sec-fetch-mode': mode } })
  t.equal((await get('cross-site', 'no-cors')).statusCode, 403)
  t.equal((await get('same-site', 'no-cors')).statusCode, 403)
  t.equal((await get('same-origin', 'no-cors')).statusCode, 200)
  t.equal((await get('cross-site', 'navigate')).statusCode, 200, 'a link may be followed')
})

t.test('with CORS_ORIGIN open every origin is served, on every transport', async (t) => {
  const { app, url } = await buildTestApp(t)
  for (const origin of ['https://evil.example', 'null']) {
    t.equal((await app.inject({ url: '/v1/chapter/', headers: { origin } })).statusCode, 200)
    t.equal((await fetch(url + HANDSHAKE, { headers: { origin } })).status, 200)
    t.equal(await upgradeStatus(url, { origin }), 101)
  }
})

t.test('JSONP is off, however it is spelled and whatever CORS_ORIGIN says', async (t) => {
  for (const { url } of [testApp, await buildTestApp(t)])
    for (const query of ['&j=0', '&j=', '&%6a=0', '&j=0&j=1'])
      for (const method of ['GET', 'POST']) {
        const response = await fetch(`${url}${HANDSHAKE}${query}`, { method })
        t.equal(response.status, 400, `${method} ${query}`)
        t.match(response.headers.get('content-type'), 'application/problem+json')
        t.notMatch(await response.text(), '___eio')
      }
})

t.test('two Origin headers are refused like a foreign one', async (t) => {
  const client = await openRawHttp(t, testApp.url)
  client.send(
    requestText('/v1/chapter/', { headers: [`origin: ${ALLOWED}`, 'origin: https://evil.example'] }),
  )
  await waitFor('the answer', () => client.statuses().length > 0)
  t.same(client.statuses(), [403])
})
