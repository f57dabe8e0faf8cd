/**
 * Compiles the server, the client and the tests once a run, so that no test file and no server that a test starts
 * needs a compiler of its own.
 *
 * `src/` goes to `dist/`, as `npm run build` writes it but without checking types: a test may be run while another
 * part of the code does not type-check. `test/` goes to `dist-test/`, where an import of `../../src/…` reads
 * `../../dist/…`. Both folders are as deep as their sources, so that a path relative to `import.meta.url` names the
 * same file. Stack traces show the sources, through source maps.
 *
 * `tap` in a file of tests is `support/current-test.ts`.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type OnResolveArgs } from 'esbuild'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** @throws when something does not compile; the compiler has printed why */
export async function compile(): Promise<void> {
  await Promise.all([compileProgram(), compileTests()])
}

/** Every file of tests, relative to the project, e.g. `test/http/list.test.ts`; sorted. */
export function testFiles(): string[] {
  return filesIn('test').filter((file) => file.endsWith('.test.ts'))
}

/** `test/http/list.test.ts` → `dist-test/http/list.test.js` */
export function compiledFile(file: string): string {
  return file.replace(/^test\//, 'dist-test/').replace(/\.ts$/, '.js')
}

async function compileProgram(): Promise<void> {
  const typescript = createRequire(import.meta.url).resolve('typescript/package.json')
  const tsc = spawn(process.execPath, [join(dirname(typescript), 'bin/tsc'), '-b', '--noCheck'], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code] = await once(tsc, 'exit')
  if (code !== 0) throw new Error('src does not compile')
}

async function compileTests(): Promise<void> {
  const { metafile } = await build({
    metafile: true,
    absWorkingDir: ROOT,
    entryPoints: filesIn('test').filter((file) => /\.tsx?$/.test(file)),
    outbase: 'test',
    outdir: 'dist-test',
    // Files stay apart: bundling is only how esbuild lets a plugin change what an import names.
    bundle: true,
    treeShaking: false,
    plugins: [
      {
        name: 'import compiled files',
        setup: ({ onResolve }) => {
          onResolve({ filter: /./ }, (imported) =>
            imported.kind === 'entry-point' ? undefined : { path: compiledImport(imported), external: true },
          )
        },
      },
    ],
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  })
  // Afterwards, and only what is left over: another run may be using the rest.
  const leftOver = filesIn('dist-test').filter(
    (file) => /\.js(\.map)?$/.test(file) && !(file in metafile.outputs),
  )
  await Promise.all(leftOver.map((file) => rm(join(ROOT, file))))
}

/** What the compiled file has to import. */
function compiledImport({ path, resolveDir, importer: file }: OnResolveArgs): string {
  // A process runs several files, and each has a root test of its own.
  if (path === 'tap' && file.endsWith('.test.ts')) return '../support/current-test.js'
  if (!path.startsWith('.')) return path
  const importer = relative(ROOT, resolveDir).replace(/^test/, 'dist-test')
  const imported = relative(ROOT, join(resolveDir, path))
    .replace(/^test\//, 'dist-test/')
    .replace(/^src\/client\//, 'src/client/dist/')
    // The page's scripts are JavaScript already.
    .replace(/^src\/(?!client\/|web\/)/, 'dist/')
  const relativePath = relative(importer, imported)
  return relativePath.startsWith('.') ? relativePath : `./${relativePath}`
}

function filesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file))
    .sort()
}
