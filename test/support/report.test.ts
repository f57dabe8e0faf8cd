import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { reportFile, type Tally } from './report.js'

const PASSED = { passed: 2, failed: 0, skipped: 0 }

t.test('a file whose tests pass is one line, with their number', async (t) => {
  const { tally, printed } = await report(`${testOf('one')}\n${testOf('two', 2)}\n1..2\n`)
  t.same(tally, PASSED)
  t.same(printed, ['ok    some.test.ts  2 passed  1.5 s (CPU 0.2 s)'])
})

t.test('a failed test is counted once and printed with its place and what was wrong', async (t) => {
  const failure =
    '    not ok 1 - equal\n      ---\n      diff: one\n      stack: at some.test.ts\n      ...\n    1..1\n'
  const { tally, printed } = await report(
    `# Subtest: two\n${failure}not ok 1 - two\n1..1\n`,
    'it ended with code 1',
  )
  t.same(tally, { passed: 0, failed: 1, skipped: 0 })
  t.match(printed, [
    /some\.test\.ts > two > equal[\s\S]*diff: one[\s\S]*at some\.test\.ts/,
    /^FAIL .* 1 failed/,
  ])
  t.equal(printed.length, 2)
})

t.test('a file that ends without a word, or with an error after its tests, has failed', async (t) => {
  await fails(t, '', undefined)
  await fails(t, '', 'it was ended by SIGKILL', /SIGKILL/)
  await fails(t, `${testOf('one')}\n1..1\n`, 'it ended with code 7', /code 7/)
  await fails(t, `${testOf('one')}\n`, undefined, /no plan/)
})

t.test('a file that says why it is skipped is counted as skipped', async (t) => {
  const { tally } = await report('1..0 # no browser\n')
  t.same(tally, { passed: 0, failed: 0, skipped: 1 })
})

function testOf(name: string, id = 1): string {
  return `# Subtest: ${name}\n    ok 1 - fine\n    1..1\nok ${id} - ${name}`
}

async function report(output: string, failure?: string): Promise<{ tally: Tally; printed: string[] }> {
  const printed: string[] = []
  const finish = await reportFile('some.test.ts', Readable.from([output]), (text) => printed.push(text))
  return { tally: finish(failure, 1500, 200), printed }
}

async function fails(
  t: Test,
  output: string,
  failure: string | undefined,
  why = /some\.test\.ts/,
): Promise<void> {
  const { tally, printed } = await report(output, failure)
  t.equal(tally.failed, 1)
  t.match(printed.join('\n'), why)
  t.match(printed.at(-1), /^FAIL/)
}
