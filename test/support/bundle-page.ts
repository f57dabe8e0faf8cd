/**
 * Pages with React, Vue, Svelte or the client library in them, for the browser of a test: bundled from the sources, so that
 * nothing has to be built before, and served from an origin that is not the server’s.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import type { Test } from 'tap'

const CLIENT = fileURLToPath(new URL('../../src/client/', import.meta.url))
const ALIASES = {
  'chaptercast-client': `${CLIENT}index.ts`,
  'chaptercast-client/react': `${CLIENT}react.ts`,
  'chaptercast-client/vue': `${CLIENT}vue.ts`,
  'chaptercast-client/svelte': `${CLIENT}svelte.ts`,
}

/**
 * One script with all it imports; React, Vue and Svelte are their development builds, which complain about everything.
 * It may import components of Vue and Svelte.
 */
export async function bundlePage(entryFile: URL | string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entryFile instanceof URL ? fileURLToPath(entryFile) : entryFile],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxDev: false,
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'true',
    },
    conditions: ['browser', 'development'],
    plugins: [svelteComponents('client'), vueComponents],
    alias: ALIASES,
    logLevel: 'error',
  })
  return outputFiles[0]?.text ?? ''
}

/** @param generate for a page, or for a server that renders it */
export function svelteComponents(generate: 'client' | 'server'): Plugin {
  return {
    name: 'svelte components',
    setup({ onLoad }) {
      onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
        const { compile } = await import('svelte/compiler')
        const { js, warnings } = compile(await readFile(path, 'utf8'), {
          filename: path,
          dev: generate === 'client',
          generate,
        })
        return { contents: js.code, warnings: warnings.map(({ message }) => ({ text: message })) }
      })
    },
  }
}

/** Those that have a `<script setup>` and a `<template>`. */
const vueComponents: Plugin = {
  name: 'vue components',
  setup({ onLoad }) {
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { compileScript, parse } = await import('vue/compiler-sfc')
      const { descriptor, errors } = parse(await readFile(path, 'utf8'), { filename: path })
      if (errors.length > 0) return { errors: errors.map(({ message }) => ({ text: message })) }
      const { content } = compileScript(descriptor, { id: path, inlineTemplate: true })
      return { contents: content, loader: 'ts' }
    })
  },
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
