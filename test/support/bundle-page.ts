/**
 * Pages with React or the client library in them, for the browser of a test: bundled from the sources, so that
 * nothing has to be built before, and served from an origin that is not the server’s.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Test } from 'tap'

const CLIENT = fileURLToPath(new URL('../../src/client/', import.meta.url))

/** One script with all it imports; React is its development build, which complains about everything. */
export async function bundlePage(entryFile: URL | string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entryFile instanceof URL ? fileURLToPath(entryFile) : entryFile],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxDev: false,
    define: { 'process.env.NODE_ENV': '"development"' },
    alias: { 'chaptercast-client': `${CLIENT}index.ts`, 'chaptercast-client/react': `${CLIENT}react.ts` },
    logLevel: 'error',
  })
  return outputFiles[0]?.text ?? ''
}

/** Answers with these texts, by path, until the test ends; gives the origin. */
export async function servePages(t: Test, pages: Record<string, string>): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://page')
    const text = pages[pathname]
    response.writeHead(text === undefined ? 404 : 200, {
      'content-type': pathname.endsWith('.js')
        ? 'text/javascript; charset=utf-8'
        : 'text/html; charset=utf-8',
    })
    response.end(text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An empty page that runs the script; `html` is what a server has rendered already. */
export function pageWith(scriptPath: string, html = ''): string {
  return `<!doctype html><html lang="ko"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>Test</title></head><body><div id="root">${html}</div><script type="module" src="${scriptPath}"></script></body></html>`
}
