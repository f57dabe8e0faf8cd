/**
 * The live page at `/` and `/socket_client_example.html`, with its modules under `/web/`.
 * Files are read and compressed once, at start, and served from a fixed map, so that no path of a
 * request ever reaches the disk. ETags are hashes of the content: every node gives the same ones.
 * The client package is served as it is compiled, under `/web/client/`; the import map in the page says where its
 * names lead. `/socket.io/socket.io.esm.min.js`, which it imports, comes from the Socket.IO server.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type {} from '@fastify/swagger'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'

// The same folders from `src/http/` and from `dist/http/`.

/** Browsers run these files as they are. */
const FOLDER = new URL('../../src/web/', import.meta.url)
/** Compiled by `tsc -b`. */
const CLIENT_FOLDER = new URL('../../src/client/dist/', import.meta.url)
const NOT_FOR_BROWSERS = ['react.js']

const JAVASCRIPT = 'text/javascript; charset=utf-8'
const MEDIA_TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': JAVASCRIPT,
  '.svg': 'image/svg+xml; charset=utf-8',
}

const VENDOR = {
  '/web/vendor/marked.js': 'marked',
  '/web/vendor/purify.js': 'dompurify',
} as const

/**
 * What is shown was written by an AI. DOMPurify cleans it; should it ever miss something, this is
 * why nothing runs, nothing is fetched from elsewhere and nothing is submitted.
 */
const contentSecurityPolicy = (importMapHash: string) =>
  [
    "default-src 'none'",
    `script-src 'self' '${importMapHash}'`,
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
  body: Buffer
  gzip: Buffer
  type: string
  etag: string
}

export const page: FastifyPluginAsync = async (app) => {
  const assets = new Map<string, Asset>()
  for (const name of await readdir(FOLDER)) {
    const type = MEDIA_TYPES[extname(name)]
    if (type !== undefined) assets.set(`/web/${name}`, await readAsset(new URL(name, FOLDER), type))
  }
  for (const name of await listClient()) {
    const isModule = extname(name) === '.js' && !NOT_FOR_BROWSERS.includes(name)
    if (isModule) assets.set(`/web/client/${name}`, await readAsset(new URL(name, CLIENT_FOLDER), JAVASCRIPT))
  }
  for (const [path, specifier] of Object.entries(VENDOR)) {
    assets.set(path, await readAsset(new URL(import.meta.resolve(specifier)), JAVASCRIPT))
  }

  const html = assets.get('/web/index.html')
  if (html === undefined) throw new Error(`index.html is missing in ${FOLDER.pathname}`)
  assets.delete('/web/index.html')
  assets.set('/', html)
  assets.set('/socket_client_example.html', html)

  const csp = contentSecurityPolicy(hashImportMap(html.body.toString()))
  for (const [path, asset] of assets) {
    app.get(path, { schema: { hide: true } }, (request, reply) => {
      reply.header('content-security-policy', csp)
      return sendAsset(request, reply, asset)
    })
  }
}

async function listClient(): Promise<string[]> {
  const names = await readdir(CLIENT_FOLDER).catch((): string[] => [])
  if (names.includes('index.js')) return names
  throw new Error(
    `The client that the page uses is not compiled (${fileURLToPath(CLIENT_FOLDER)}). Run: npm run build. ` +
      '(npm start and npm run dev do it by themselves.)',
  )
}

/** As browsers compute it: of the text between the tags, with line feeds for line ends. */
function hashImportMap(html: string): string {
  const [, text] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html) ?? []
  if (text === undefined) throw new Error('index.html has no import map')
  return `sha256-${createHash('sha256').update(text.replace(/\r\n?/g, '\n')).digest('base64')}`
}

async function readAsset(url: URL, type: string): Promise<Asset> {
  const body = await readFile(url)
  // Weak, for the compressed and the plain answer share it.
  const etag = `W/"${createHash('sha256').update(body).digest('base64url')}"`
  return { body, gzip: gzipSync(body, { level: 9 }), type, etag }
}

function sendAsset(request: FastifyRequest, reply: FastifyReply, asset: Asset) {
  reply.headers(HEADERS).header('etag', asset.etag)
  if (request.headers['if-none-match']?.includes(asset.etag)) return reply.code(304).send()
  reply.type(asset.type)
  if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(asset.body)
  return reply.header('content-encoding', 'gzip').send(asset.gzip)
}
