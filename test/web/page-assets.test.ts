/**
 * The page’s files as the server gives them.
 */
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { startServer } from './worker.js'

const { url } = await startServer(t)

await t.test('assets are asked for again only when they changed', async (t) => {
  for (const path of [
    '/',
    '/socket_client_example.html',
    '/admin',
    '/web/admin/page.js',
    '/web/page.js',
    '/web/page.css',
    '/web/vendor/marked.js',
    '/web/client/index.js',
  ]) {
    const first = await fetch(url + path)
    t.equal(first.status, 200, path)
    t.equal(first.headers.get('x-content-type-options'), 'nosniff')
    t.match(first.headers.get('cache-control'), 'no-cache')
    const etag = first.headers.get('etag') ?? ''
    const again = await fetch(url + path, { headers: { 'if-none-match': etag } })
    t.equal(again.status, 304, path)
  }
  for (const path of [
    '/web/',
    '/web/tsconfig.json',
    '/web/admin/index.html',
    '/web/..%2f..%2fpackage.json',
    '/web/nothing.js',
    '/web/client/react.js',
    '/web/client/index.d.ts',
  ]) {
    t.equal((await fetch(url + path)).status, 404, path)
  }
})

t.test('the page comes compressed to browsers that take it, and plain to those that do not', async (t) => {
  const encodingFor = async (path: string, accepted: string) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: x\r\naccept-encoding: ${accepted}\r\nconnection: close\r\n\r\n`,
    )
    const [head = ''] = (await text(socket)).split('\r\n\r\n')
    t.match(head, /^HTTP\/1\.1 200 /)
    t.match(head, /^vary: .*accept-encoding/im)
    return /^content-encoding: (\S+)/im.exec(head)?.[1] ?? 'none'
  }
  for (const path of ['/', '/web/page.js', '/web/vendor/marked.js', '/web/client/index.js']) {
    t.equal(await encodingFor(path, 'gzip, deflate'), 'gzip', path)
    t.equal(await encodingFor(path, 'gzip;q=0'), 'none', `${path}: q=0 is a refusal`)
    t.equal(await encodingFor(path, 'gzip;q=0, br;q=0, *;q=0.5'), 'none', path)
    t.equal(await encodingFor(path, 'identity'), 'none', path)
    t.equal(await encodingFor(path, 'xgzip'), 'none', path)
  }
})

t.test('If-None-Match means what RFC 9110 says: any, one of several, weak or strong', async (t) => {
  const etag = (await fetch(`${url}/web/page.js`)).headers.get('etag') ?? ''
  const statusFor = async (ifNoneMatch: string) =>
    (await fetch(`${url}/web/page.js`, { headers: { 'if-none-match': ifNoneMatch } })).status
  for (const value of ['*', etag, etag.replace(/^W\//, ''), `"other", ${etag}`, `"other",${etag}`])
    t.equal(await statusFor(value), 304, value)
  for (const value of ['"other"', 'W/"other"', etag.slice(0, -2), `x${etag}`, etag.replaceAll('"', '')])
    t.equal(await statusFor(value), 200, value)
})

const IMPORTS = {
  '/': ['chaptercast-client', 'socket.io-client'],
  '/admin': ['chaptercast-client', 'chaptercast-client/http', 'socket.io-client'],
}

for (const [path, names] of Object.entries(IMPORTS))
  t.test(
    `the only script within ${path} is the import map, and every name in it leads to a module`,
    async (t) => {
      const page = await fetch(url + path)
      const html = await page.text()
      const inline = [...html.matchAll(/<script(?![^>]*\bsrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(
        ([, text = '']) => text,
      )
      t.equal(inline.length, 1)
      const [map = ''] = inline
      const hash = createHash('sha256').update(map).digest('base64')
      t.match(
        page.headers.get('content-security-policy'),
        `default-src 'none'; script-src 'self' 'sha256-${hash}'; style-src 'self';`,
      )
      t.ok(
        html.indexOf('importmap') < html.indexOf('modulepreload'),
        'browsers want it before the first module',
      )
      t.ok(html.indexOf('importmap') < html.indexOf('type="module"'))
      const { imports } = JSON.parse(map) as { imports: Record<string, string> }
      t.same(Object.keys(imports), names)
      for (const module of Object.values(imports)) {
        const { status, headers } = await fetch(url + module)
        t.equal(status, 200, module)
        t.match(headers.get('content-type'), 'javascript')
      }
    },
  )
