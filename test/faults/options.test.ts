import t from 'tap'
import { readOptions } from './options.js'
import { FAULT_KINDS } from './schedule.js'

t.test('without options: every fault, a seed of its own, and a minute at least', async (t) => {
  t.match(readOptions([]), { chapters: 1000, rate: 15, nodes: 3, kinds: FAULT_KINDS, dispatch: 'kafka' })
  t.match(readOptions(['--chapters', '200']), { rate: 200 / 60 })
  t.match(readOptions(['--seed', '7']), { seed: 7 })
})

t.test('faults are chosen by name', async (t) => {
  t.match(readOptions(['--only', 'redis-killed,node-killed']), { kinds: ['redis-killed', 'node-killed'] })
  t.match(readOptions(['--only', 'redis-killed,node-killed', '--without', 'node-killed']), {
    kinds: ['redis-killed'],
  })
  t.match(readOptions(['--no-faults']), { kinds: [] })
})

t.test('a node that does not renew its lease is tried with jobs that are held', async (t) => {
  t.match(readOptions(['--break', 'lease-not-renewed']), { break: 'lease-not-renewed', dispatch: 'http' })
})

t.test(
  'a join that does not wait for its subscription is tried without faults that lose messages',
  async (t) => {
    t.match(readOptions(['--break', 'subscribe-not-awaited']), { kinds: ['slow-redis'] })
  },
)

t.test('what cannot be used is refused with its name', async (t) => {
  for (const args of [
    ['--chapters', '0'],
    ['--nodes', '1'],
    ['--only', 'fire'],
    ['--break', 'all'],
    ['--what'],
  ])
    t.match(readOptions(args), { problem: args[0] }, args.join(' '))
})
