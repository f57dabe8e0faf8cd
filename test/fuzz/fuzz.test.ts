/** A few inputs of the fuzzing bench, and what it says to whoever calls it. A minute of it runs in CI. */
import t from 'tap'
import { embeddedDatabase } from '../support/database.js'
import { scale } from '../support/scale.js'
import { createBench, TARGETS } from './bench.js'
import { HELP, readOptions } from './options.js'

const INPUTS = scale(300, 4000)
const seed = Number(process.env.FUZZ_SEED ?? 20_260_131)

t.test(
  `hundreds of hostile inputs end nothing and are no fault (seed ${seed})`,
  { timeout: 120_000 },
  async (t) => {
    const said: string[] = []
    const counts = await createBench({
      seed,
      seconds: 100,
      inputs: INPUTS,
      database: await embeddedDatabase(t),
      say: (line) => said.push(line),
    }).run()
    for (const name of TARGETS)
      if (name !== 'redis') t.ok(counts[name] > 0, `${name}: ${counts[name]} inputs`)
    for (const status of [200, 400, 401, 404])
      t.match(said.join(), `${status}: `, 'the changes are neither too wild nor too tame')
  },
)

t.test('the bench says how it is called, and in one line what is wrong with a call', async (t) => {
  t.same(readOptions([]), { seed: 1, seconds: 60 })
  t.same(readOptions(['--seed', '7', '--seconds=5']), { seed: 7, seconds: 5 })
  t.same(readOptions(['--help']), { help: true })
  for (const option of ['--seed', '--seconds', '--help']) t.match(HELP, option)
  for (const args of [
    ['--seed', 'x'],
    ['--seed'],
    ['--seconds', '0'],
    ['--seconds', '1.5'],
    ['--nonsense'],
    ['5'],
  ]) {
    const read = readOptions(args)
    t.match(read, { problem: /^[^\n]{10,150}$/ }, args.join(' '))
  }
})
