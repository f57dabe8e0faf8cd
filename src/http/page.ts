/**
 * The live page at `/` and `/socket_client_example.html`, with its modules under `/web/`.
 * Files are read and compressed once, at start, and served from a fixed map, so that no path of a
 * request ever reaches the disk. ETags are hashes of the content: every node gives the same ones.
 * `/socket.io/socket.io.esm.min.js`, which the page imports, comes from the Socket.IO server.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { gzipSync } from 'node:zlib'
import type {} from '@fastify/swagger'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'

/** The same folder from `src/http/` and from `dist/http/`: browsers run these files as they are. */
const FOLDER = new URL('../../src/web/', import.meta.url)

const MEDIA_TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
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
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  // Safari’s 'self' does not cover ws: and wss: before 15.4.
  "connect-src 'self' ws: wss:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types dompurify',
].join('; ')

const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
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
  for (const [path, specifier] of Object.entries(VENDOR)) {
    assets.set(path, await readAsset(new URL(import.meta.resolve(specifier)), MEDIA_TYPES['.js'] as string))
  }

  const html = assets.get('/web/index.html')
  if (html === undefined) throw new Error(`index.html is missing in ${FOLDER.pathname}`)
  assets.delete('/web/index.html')
  assets.set('/', html)
  assets.set('/socket_client_example.html', html)

  for (const [path, asset] of assets) {
    app.get(path, { schema: { hide: true } }, (request, reply) => sendAsset(request, reply, asset))
  }
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
