import t from 'tap'
import { FAULT_KINDS, FAULTS, scheduleOf } from './schedule.js'

const plan = { durationMs: 600_000, nodes: 3, kinds: FAULT_KINDS }

t.test('the same seed gives the same schedule, another one another', async (t) => {
  t.same(scheduleOf({ seed: 7, ...plan }), scheduleOf({ seed: 7, ...plan }))
  t.notSame(scheduleOf({ seed: 7, ...plan }), scheduleOf({ seed: 8, ...plan }))
})

t.test(
  'every fault comes before one comes again, at most two last at once, and never two of one part',
  async (t) => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const schedule = scheduleOf({ seed, ...plan })
      const kinds = schedule.slice(0, FAULT_KINDS.length).map(({ kind }) => kind)
      if (new Set(kinds).size !== FAULT_KINDS.length) t.fail(`seed ${seed} leaves some out`)
      for (const [index, fault] of schedule.entries()) {
        const before = schedule.slice(0, index).filter(({ atMs, lastsMs }) => atMs + lastsMs > fault.atMs)
        if (before.length > 1) t.fail(`seed ${seed}: three at once`)
        if (before.some(({ kind }) => FAULTS[kind] === FAULTS[fault.kind]))
          t.fail(`seed ${seed}: two of one part`)
      }
    }
    t.pass('in 200 schedules')
  },
)
