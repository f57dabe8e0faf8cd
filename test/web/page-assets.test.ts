/**
 * The page’s files as the server gives them.
 */
import { createHash } from 'node:crypto'
import t from 'tap'
import { startServer } from './worker.js'

const { url } = await startServer(t)

await t.test('assets are asked for again only when they changed', async (t) => {
  for (const path of [
    '/',
    '/socket_client_example.html',
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
    '/web/..%2f..%2fpackage.json',
    '/web/nothing.js',
    '/web/client/react.js',
    '/web/client/index.d.ts',
  ]) {
    t.equal((await fetch(url + path)).status, 404, path)
  }
})

t.test(
  'the only script within the page is the import map, and every name in it leads to a module',
  async (t) => {
    const page = await fetch(`${url}/`)
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
    t.same(Object.keys(imports), ['chaptercast-client', 'socket.io-client'])
    for (const path of Object.values(imports)) {
      const { status, headers } = await fetch(url + path)
      t.equal(status, 200, path)
      t.match(headers.get('content-type'), 'javascript')
    }
  },
)
