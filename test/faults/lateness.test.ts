import t from 'tap'
import { type HappenedFault, latenessByFault, quantiles } from './lateness.js'

const FAULTS: HappenedFault[] = [
  { kind: 'redis-killed', from: 10_000, to: 14_000 },
  { kind: 'node-killed', from: 30_000, to: 34_000 },
  { kind: 'kafka-killed', from: 33_000, to: 36_000 },
]
const rowOf = (storedAt: number, heardAt: number) => {
  const [[row, { during, after }] = ['none', { during: [], after: [] }]] = latenessByFault(FAULTS, [
    { storedAt, heardAt },
  ])
  return `${row}: ${during.length > 0 ? 'during' : 'after'} ${[...during, ...after]}`
}

t.test('an event is put down to the fault that lasted while it was on its way', async (t) => {
  t.equal(rowOf(9000, 9010), 'no fault: during 10')
  t.equal(rowOf(9990, 11_000), 'redis-killed: during 1010', 'committed before it, heard in it')
  t.equal(rowOf(12_000, 15_000), 'redis-killed: during 3000')
  t.equal(rowOf(15_000, 15_001), 'redis-killed: after 1')
  t.equal(rowOf(33_500, 33_501), 'two at once: during 1')
  t.equal(rowOf(60_000, 60_001), 'no fault: during 1')
})

t.test('the middle, the hundredth and the last', async (t) => {
  t.same(quantiles(Array.from({ length: 101 }, (_, index) => index)), [50, 99, 100])
  t.equal(quantiles([]), undefined)
})
