import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { brokenCopy, FAULT_NAMES, type FaultName } from '../support/deliberate-faults.js'

/** Most are found by the first few. */
const SEEDS = 150

/** What is seen of it. */
const SEEN: Record<FaultName, RegExp> = {
  'write-without-version': /its log ends with|is lost|progress|its jobs say something else|hangs/,
  'trust-arrival-order': /hears \d+ after \d+/,
  'lease-not-renewed': /is sent again for no reason/,
  'subscribe-not-awaited': /has heard up to \d+ of \d+|has a progress of/,
}

for (const name of FAULT_NAMES)
  t.test(`the simulation finds ${name}`, async (t) => {
    const folder = await brokenCopy(name)
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const broken = await import(join(folder, 'dist-test/simulation/run.js'))
    const checksVersion = name !== 'write-without-version'
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { wrong } = (await broken.run({ seed, commands: 300, checksVersion })) as { wrong: string[] }
      const seen = wrong.find((what) => SEEN[name].test(what))
      if (seen !== undefined) return t.pass(`seed ${seed}: ${seen}`)
    }
    t.fail(`not found in ${SEEDS} seeds`)
  })
