/**
 * The live page at `/` and `/socket_client_example.html`, and the operators’ page at `/admin`, with their modules under
 * `/web/`. Both are files that anybody may read; what they show is the API’s to give.
 * Which files there are is decided at start, so the path of a request never chooses a file. `@fastify/static` sends
 * them, `@fastify/compress` compresses them.
 * The client package is served as it is compiled, under `/web/client/`; the import map in the page says where its
 * names lead. `/socket.io/socket.io.esm.min.js`, which it imports, comes from the Socket.IO server.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import compress from '@fastify/compress'
import files from '@fastify/static'
import type {} from '@fastify/swagger'
import type { FastifyPluginAsync } from 'fastify'

// The same folders from `src/http/` and from `dist/http/`.

/** Browsers run these files as they are. */
const FOLDER = fileURLToPath(new URL('../../src/web/', import.meta.url))
/** Compiled by `tsc -b`. */
const CLIENT_FOLDER = fileURLToPath(new URL('../../src/client/dist/', import.meta.url))
const NOT_FOR_BROWSERS = ['react.js']
const SERVED = ['.css', '.js', '.svg']

/** Where each page is, and the file that it is. */
const PAGES = {
  '/': 'index.html',
  '/socket_client_example.html': 'index.html',
  '/admin': 'admin/index.html',
} as const

const VENDOR = {
  '/web/vendor/marked.js': 'marked',
  '/web/vendor/purify.js': 'dompurify',
  '/web/vendor/katex.js': 'katex',
  '/web/vendor/highlight.js': '@highlightjs/cdn-assets/es/highlight.min.js',
} as const

/**
 * What is shown was written by an AI. DOMPurify cleans it; should it ever miss something, this is
 * why nothing runs, nothing is fetched from elsewhere and nothing is submitted.
 */
const contentSecurityPolicy = (importMapHash: string | undefined) =>
  [
    "default-src 'none'",
    `script-src 'self'${importMapHash === undefined ? '' : ` '${importMapHash}'`}`,
    "style-src 'self'",
    "img-src 'self' data:",
    // Safari’s 'self' does not cover ws: and wss: before 15.4.
    "connect-src 'self' ws: wss:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types dompurify markdown-worker',
    "worker-src 'self'",
  ].join('; ')

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  // Keep it, ask every time: a page must not meet the modules of another release.
  'cache-control': 'no-cache',
  vary: 'accept-encoding',
}

interface Asset {
  folder: string
  name: string
  /** Of a page. */
  importMapHash?: string
}

export const page: FastifyPluginAsync = async (app) => {
  await app.register(compress, { encodings: ['br', 'gzip'], globalDecompression: false })
  await app.register(files, { serve: false, cacheControl: false, lastModified: false })

  const assets = await listAssets()
  for (const [path, { name, folder, importMapHash }] of assets) {
    const headers = { ...HEADERS, 'content-security-policy': contentSecurityPolicy(importMapHash) }
    app.get(path, { schema: { hide: true }, logLevel: 'warn' }, (request, reply) => {
      const asked = request.raw.headers
      // It speaks to caches on the way. @fastify/send would ignore `If-None-Match` because of it.
      delete asked['cache-control']
      // A wildcard allows compression without asking for it. @fastify/compress reads `gzip;q=0, *` as gzip.
      if (asked['accept-encoding'] !== undefined)
        asked['accept-encoding'] = asked['accept-encoding'].replace(/\*[^,]*/g, 'identity')
      return reply.headers(headers).sendFile(name, folder)
    })
  }
}

/** Every file that is served, by its path. */
async function listAssets(): Promise<Map<string, Asset>> {
  const assets = new Map<string, Asset>()
  for (const [path, name] of Object.entries(PAGES)) {
    const importMapHash = hashImportMap(await readFile(`${FOLDER}/${name}`, 'utf8'))
    assets.set(path, { folder: FOLDER, name, importMapHash })
  }
  for (const name of [...(await readdir(FOLDER)), ...(await listAdmin())])
    if (SERVED.includes(extname(name))) assets.set(`/web/${name}`, { folder: FOLDER, name })
  for (const name of await listClient())
    if (extname(name) === '.js' && !NOT_FOR_BROWSERS.includes(name))
      assets.set(`/web/client/${name}`, { folder: CLIENT_FOLDER, name })
  for (const [path, specifier] of Object.entries(VENDOR)) {
    const file = fileURLToPath(import.meta.resolve(specifier))
    assets.set(path, { folder: dirname(file), name: basename(file) })
  }
  return assets
}

async function listAdmin(): Promise<string[]> {
  return (await readdir(`${FOLDER}/admin`)).map((name) => `admin/${name}`)
}

async function listClient(): Promise<string[]> {
  const names = await readdir(CLIENT_FOLDER).catch((): string[] => [])
  if (names.includes('index.js')) return names
  throw new Error(
    `The client that the page uses is not compiled (${CLIENT_FOLDER}). Run: npm run build. ` +
      '(npm start and npm run dev do it by themselves.)',
  )
}

/** As browsers compute it: of the text between the tags, with line feeds for line ends. */
function hashImportMap(html: string): string {
  const [, text] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html) ?? []
  if (text === undefined) throw new Error('the page has no import map')
  return `sha256-${createHash('sha256').update(text.replace(/\r\n?/g, '\n')).digest('base64')}`
}
