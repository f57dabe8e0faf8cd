import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { compiledFile } from './compile.js'
import { runFiles } from './run-files.js'
import { workFolder } from './server-process.js'

t.test('an exception that nothing catches fails the test that runs, and no other', async (t) => {
  const { tally, printed } = await runFile(
    t,
    `t.test('before', (t) => t.end())
    t.test('outer', async (t) => {
      await t.test('thrown', () => new Promise(() => setImmediate(() => { throw new Error('of a callback') })))
    })
    t.test('rejected', () => new Promise(() => Promise.reject(new Error('of a promise'))))
    t.test('after', (t) => t.end())`,
  )
  t.match(tally, { passed: 2, failed: 2 })
  t.match(printed, /not ok {2}.* > outer > thrown > of a callback/)
  t.match(printed, /not ok {2}.* > rejected > of a promise/)
})

t.test('an exception that comes after the tests of a file fails the run', async (t) => {
  const { tally, printed } = await runFile(
    t,
    `t.test('before', (t) => t.end())
    setTimeout(() => { throw new Error('on purpose') }, 200)`,
  )
  t.match(tally, { passed: 1, failed: 1 })
  t.match(printed, /a process ended with code 1, after/)
})

/** A file with these tests, in a process of its own. */
async function runFile(t: Test, tests: string) {
  const file = join(await workFolder(t), 'some.test.mjs')
  const tap = pathToFileURL(resolve(compiledFile('test/support/current-test.ts'))).href
  await writeFile(file, `import t from '${tap}'\n${tests}`)
  const lines: string[] = []
  const tally = await runFiles([file], {
    env: process.env,
    jobs: 1,
    signal: new AbortController().signal,
    print: (text) => lines.push(text),
  })
  return { tally, printed: lines.join('\n') }
}
