import t from 'tap'
import { MAX_BODY_DEPTH, MAX_BODY_PARTS, structureProblem } from '../../src/contract/json-structure.js'

const problemOf = (text: string) => structureProblem(Buffer.from(text))
const SPACES = ' '.repeat(20_000)

t.test('a body that is nested too deep, or has too many parts, is told before it is parsed', async (t) => {
  const nested = (depth: number) => `${SPACES}${'[{"a":'.repeat(depth / 2)}0${'}]'.repeat(depth / 2)}`
  t.equal(problemOf(nested(MAX_BODY_DEPTH)), undefined)
  t.match(problemOf(nested(MAX_BODY_DEPTH + 2)), /nested deeper/)
  const many = (count: number) => `[${Array((count - 1) / 2).fill('{"":0}')}]`
  t.equal(problemOf(many(MAX_BODY_PARTS - 1)), undefined)
  t.match(problemOf(many(MAX_BODY_PARTS + 3)), /more than/)
  const numbers = (count: number) => `[${Array(count).fill('0')}]`
  t.equal(problemOf(numbers(MAX_BODY_PARTS)), undefined)
  t.match(problemOf(numbers(MAX_BODY_PARTS + 1)), /more than/)
})

t.test('brackets in texts do not count', async (t) => {
  for (const text of ['[', '\\"[', '\\\\', '"[{', '\\\\"{']) {
    const body = JSON.stringify({ [text]: Array(4000).fill(text) })
    t.equal(problemOf(body), undefined, text)
    t.equal(JSON.parse(body)[text].length, 4000)
  }
})

t.test('what is no JSON is left to the parser', async (t) => {
  for (const text of ['', '"', '"\\', `${SPACES}"`, `${SPACES}"\\`, `${SPACES}]]]]`, `${SPACES}[[[`])
    t.equal(problemOf(text), undefined, text.trim())
})
