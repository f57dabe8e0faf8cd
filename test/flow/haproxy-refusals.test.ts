/**
 * What strangers send, through the load balancer: it must refuse what a node refuses, and leave nothing on the nodes.
 */
import t from 'tap'
import { createChapter, request } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { openRawHttp, requestText } from '../support/raw-http.js'
import { startNodes } from '../support/three-nodes.js'

const program = await findHaproxy()
const ORIGIN = 'https://school.example'

if (program === undefined) t.plan(0, 'no haproxy: install it (apt-get install haproxy)')
else {
  const { nodes } = await startNodes(t, 3, { env: { CORS_ORIGIN: ORIGIN } })
  const { url } = await startHaproxy(
    t,
    program,
    nodes.map(({ port }) => port),
  )

  const statusOf = async (text: string): Promise<number | undefined> => {
    const client = await openRawHttp(t, url)
    client.send(text)
    await waitFor('the answer', () => client.statuses().length > 0 || client.socket.readableEnded)
    client.socket.destroy()
    return client.statuses()[0]
  }

  t.test('behind the load balancer too an upgrade that is not ours is answered as HTTP/1.1', async (t) => {
    const h2c = [
      'connection: Upgrade, HTTP2-Settings',
      'upgrade: h2c',
      'http2-settings: AAMAAABkAAQCAAAAAAIAAAAA',
    ]
    for (const path of ['/healthz', '/v1/chapter/', '/socket.io/?EIO=4&transport=polling'])
      t.equal(await statusOf(requestText(path, { headers: h2c })), 200, path)
  })

  t.test('behind the load balancer too requests of one connection are answered in order', async (t) => {
    const client = await openRawHttp(t, url)
    client.send((requestText('/healthz') + requestText('/nowhere')).repeat(20))
    await waitFor('all are answered', () => client.statuses().length === 40)
    t.same(client.statuses(), Array(20).fill([200, 404]).flat())
  })

  t.test('behind the load balancer too a page of another origin gets nothing', async (t) => {
    const from = (origin: string) => [`origin: ${origin}`]
    for (const path of ['/v1/chapter/', '/socket.io/?EIO=4&transport=polling']) {
      t.equal(await statusOf(requestText(path, { headers: from('https://evil.example') })), 403, path)
      t.equal(await statusOf(requestText(path, { headers: from(ORIGIN) })), 200, path)
    }
    const websocket = [
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
    ]
    const path = '/socket.io/?EIO=4&transport=websocket'
    t.equal(
      await statusOf(requestText(path, { headers: [...websocket, ...from('https://evil.example')] })),
      403,
    )
    t.equal(await statusOf(requestText(path, { headers: [...websocket, ...from(ORIGIN)] })), 101)
    t.equal(await statusOf(requestText(`${path.replace('websocket', 'polling')}&j=0`)), 400)
  })

  t.test('behind the load balancer too other methods are 405, and a double Host is refused', async (t) => {
    const id = await createChapter(url)
    const answer = await request(`${url}/v1/chapter/${id}/retry`)
    t.equal(answer.status, 405)
    t.equal(answer.headers.get('allow'), 'POST')
    t.equal(await statusOf(requestText('/healthz', { headers: ['host: y'] })), 400)
  })
}
