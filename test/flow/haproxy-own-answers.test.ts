/**
 * What the load balancer says itself, where no node answers: in a node’s words.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { ERRORS, type Problem } from '../../src/contract/problem.js'
import { waitFor } from '../support/condition.js'
import { findHaproxy, startHaproxy } from '../support/haproxy.js'
import { openRawHttp, requestText } from '../support/raw-http.js'

const CHUNKED = { method: 'POST', headers: ['transfer-encoding: chunked'] }
const CASES: Record<string, { sent: string; later?: string; status: number }> = {
  'chunks that go wrong': { sent: requestText('/body', CHUNKED), later: 'zz\r\n', status: 400 },
  'a node that goes away': { sent: requestText('/gone'), status: 502 },
  'a session that no node has': { sent: requestText('/socket.io/?EIO=4&sid=nobody'), status: 503 },
  'a node that says nothing': { sent: requestText('/silent'), status: 504 },
}

const program = await findHaproxy()
if (program === undefined) t.fail('HAProxy is needed: apt-get install haproxy')
else {
  const node = createServer(({ url, socket }, response) => {
    if (url === '/readyz') response.end()
    if (url === '/gone') socket.destroy()
    if (url === '/half')
      response.writeHead(200, { 'content-length': 100 }).write('the first half', () => socket.destroy())
  })
  node.listen(0, '127.0.0.1')
  await once(node, 'listening')
  t.teardown(() => {
    node.closeAllConnections()
    node.close()
  })
  const { port } = node.address() as AddressInfo
  const quick = (config: string) => config.replaceAll(/timeout server \d+s/g, 'timeout server 500ms')
  const { url } = await startHaproxy(t, program, [port], quick)

  for (const [what, { sent, later, status }] of Object.entries(CASES))
    t.test(`the load balancer answers ${what} with a problem`, async (t) => {
      const client = await openRawHttp(t, url)
      const arrived = once(node, 'request')
      client.send(sent)
      if (later !== undefined) {
        await arrived
        client.send(later)
      }
      const [head = '', body = ''] = await waitFor('the answer', () => {
        const parts = client.text().split('\r\n\r\n')
        return parts[1]?.endsWith('}') && parts
      })
      t.equal(Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]), status)
      t.match(head, /^content-type: application\/problem\+json/im)
      t.match(head, /^cache-control: no-store/im)
      t.match(head, /^x-content-type-options: nosniff/im)
      if (status > 500) t.match(head, /^retry-after: 1/im)
      const problem = JSON.parse(body) as Problem
      t.match(problem, { type: 'about:blank', status, title: ERRORS[problem.code].title, request_id: 'none' })
    })

  t.test('the load balancer says nothing within an answer that a node did not finish', async (t) => {
    const client = await openRawHttp(t, url)
    client.send(requestText('/half') + requestText('/silent'))
    await client.closed()
    t.match(client.text(), /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nthe first half$/)
  })
}
