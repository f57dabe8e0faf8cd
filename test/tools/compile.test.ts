import { execFile } from 'node:child_process'
import { chmod, mkdir, utimes, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { workFolder } from '../support/server-process.js'

const SCRIPT = fileURLToPath(new URL('../../src/tools/compile.sh', import.meta.url))
const run = promisify(execFile)

/** A checkout with a compiler that only says that it was called. */
async function checkout(t: Test) {
  const folder = await workFolder(t)
  await Promise.all(['src', 'dist', 'bin'].map((name) => mkdir(join(folder, name))))
  await writeFile(join(folder, 'package-lock.json'), '{}')
  await writeFile(join(folder, 'src/app.ts'), '')
  await writeFile(join(folder, 'bin/tsc'), '#!/bin/sh\necho compiled "$@"\n')
  await chmod(join(folder, 'bin/tsc'), 0o755)
  const env = { ...process.env, PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}` }
  const built = async (secondsAgo: number) => {
    const file = join(folder, 'dist/.tsbuildinfo')
    await writeFile(file, '')
    const at = new Date(Date.now() - secondsAgo * 1000)
    await utimes(file, at, at)
  }
  return { built, start: () => run('sh', [SCRIPT], { cwd: folder, env }) }
}

t.test('the first start says that it compiles', async (t) => {
  const { start } = await checkout(t)
  const { stdout, stderr } = await start()
  t.match(stderr, /^Compiling\. Only the first start does this/)
  t.equal(stdout, 'compiled -b\n', 'what a command prints may be read by another one')
})

t.test('a start after an update says that it compiles what changed', async (t) => {
  const { built, start } = await checkout(t)
  await built(60)
  t.equal((await start()).stderr, 'Compiling what changed …\n')
})

t.test('any other start says nothing of it', async (t) => {
  const { built, start } = await checkout(t)
  await built(-60)
  const { stdout, stderr } = await start()
  t.equal(stderr, '')
  t.equal(stdout, 'compiled -b\n')
})
