import t from 'tap'
import { scale } from '../support/scale.js'
import { run } from './run.js'
import { reportOn } from './seeds.js'

const SEEDS = scale(20, 40)
const COMMANDS = 150

t.test(
  'whatever fails, nothing acknowledged is lost, doubled, left hanging or shown out of order',
  async (t) => {
    const counts: Record<string, number> = {}
    for (let seed = 1; seed <= SEEDS; seed++) {
      const report = await run({ seed, commands: COMMANDS })
      for (const [what, count] of Object.entries(report.counts)) counts[what] = (counts[what] ?? 0) + count
      if (report.wrong.length === 0) continue
      const { wrong } = await reportOn(seed, { commands: COMMANDS, checksVersion: true, steps: 40 })
      t.fail(`seed ${seed}: ${report.setting}`, { wrong })
    }
    for (const what of ['writes', 'sent', 'heard', 'faults', 'unanswered', 'sent again', 'forgotten'])
      t.ok((counts[what] ?? 0) > 20, `${what}: ${counts[what]}`)
  },
)

t.test('a seed gives the same run again', async (t) => {
  for (const seed of [3, 4, 5].slice(0, scale(1, 3))) {
    const one = await run({ seed, commands: COMMANDS, isRecorded: true })
    const other = await run({ seed, commands: COMMANDS, isRecorded: true })
    t.ok(one.steps.length > 300, `${one.steps.length} steps`)
    t.same(other, one)
  }
  const [one, other] = [await run({ seed: 6, commands: 50 }), await run({ seed: 7, commands: 50 })]
  t.not(one.hash, other.hash)
})
