import t from 'tap'
import { createSemaphore } from '../../src/async/semaphore.js'
import { createDelivery, type DeliveryOptions } from '../../src/generator/delivery.js'
import { createOffsetTracker } from '../../src/generator/offset-tracker.js'
import { AlreadyRunningError, CallbackUndeliveredError } from '../../src/generator/worker.js'
import { generationMessageOf } from '../support/kafka.js'

const never = new AbortController().signal
const undelivered = () => new CallbackUndeliveredError('finish', 8, 'HTTP 503', undefined)

t.test('a job whose outcome could not be told is done again, in the same place', async (t) => {
  const { deliver, slots, waits } = deliveryOf([undelivered(), undelivered(), 'done'])
  await deliver(generationMessageOf(), await slots.take(never), never)
  t.equal(waits.length, 2)
  t.strictSame(
    waits.map(({ taken }) => taken),
    [1, 1],
    'while webhooks fail no more is begun',
  )
  t.equal(slots.taken, 0)
})

t.test(
  'a job that cannot be told before its deadline is left to the server, which tries again',
  async (t) => {
    const { deliver, slots, logged } = deliveryOf([undelivered(), 'never reached'], {
      now: () => Date.now() + 3_600_000,
    })
    await deliver(generationMessageOf(), await slots.take(never), never)
    t.match(logged, ['the generator gives this job up; the server tries it again after its deadline'])
    t.equal(slots.taken, 0)
  },
)

t.test(
  'a job that runs elsewhere is asked for again until it does not, and takes no place meanwhile',
  async (t) => {
    const running = new AlreadyRunningError('elsewhere')
    const { deliver, slots, waits } = deliveryOf([running, running, 'done'])
    await deliver(generationMessageOf(), await slots.take(never), never)
    t.strictSame(
      waits.map(({ taken }) => taken),
      [0, 0],
    )
    t.ok(waits.every(({ ms }) => ms > 5000 && ms < 30_000))
    t.equal(slots.taken, 0)
  },
)

t.test('a job that goes on running elsewhere is left alone in the end', async (t) => {
  const { deliver, slots, waits } = deliveryOf(() => new AlreadyRunningError('elsewhere'))
  await deliver(generationMessageOf(), await slots.take(never), never)
  t.ok(waits.length > 10 && waits.length < 200)
  t.equal(slots.taken, 0)
})

t.test('an aborted job is not settled, and gives its place back', async (t) => {
  const stop = new AbortController()
  const { deliver, slots } = deliveryOf(() => {
    stop.abort(new Error('leaving'))
    return undelivered()
  })
  await t.rejects(deliver(generationMessageOf(), await slots.take(never), stop.signal), {
    message: 'leaving',
  })
  t.equal(slots.taken, 0)
})

t.test('places are given in the order they were asked for; who gave up is passed over', async (t) => {
  const slots = createSemaphore(1)
  const first = await slots.take(never)
  const impatient = new AbortController()
  const order: string[] = []
  const second = slots.take(impatient.signal).then(
    () => order.push('second'),
    () => order.push('gave up'),
  )
  const third = slots.take(never)
  impatient.abort()
  await second
  first()
  first()
  order.push('third')
  const release = await third
  t.strictSame(order, ['gave up', 'third'])
  t.equal(slots.taken, 1, 'given back twice, a place is free once')
  release()
  t.equal(slots.taken, 0)
})

t.test('what may be committed is everything before the first unsettled message', async (t) => {
  const positions = createOffsetTracker()
  const next = () => positions.uncommitted().map(({ offset }) => offset)
  for (const offset of ['5', '6', '9', '10']) t.ok(positions.take('a', 0, offset))
  t.notOk(positions.take('a', 0, '6'), 'taken before')
  t.strictSame(next(), ['5'])
  positions.finish('a', 0, '6')
  positions.finish('a', 0, '10')
  t.strictSame(next(), ['5'])
  positions.finish('a', 0, '5')
  t.strictSame(next(), ['9'], 'compacted offsets are no gap')
  positions.committed(positions.uncommitted())
  t.strictSame(next(), [], 'nothing new')
  positions.finish('a', 0, '9')
  t.strictSame(next(), ['11'])
})

t.test('a partition that went to another generator is no longer committed here', async (t) => {
  const positions = createOffsetTracker()
  positions.take('a', 0, '1')
  positions.take('a', 1, '1')
  positions.keep({ a: [1] })
  positions.finish('a', 0, '1')
  t.strictSame(positions.uncommitted(), [{ topic: 'a', partition: 1, offset: '1' }])
  t.ok(positions.take('a', 0, '1'), 'and is begun anew when it comes back')
})

function deliveryOf(
  outcomes: (Error | string)[] | (() => Error | string),
  over: Partial<DeliveryOptions> = {},
) {
  const slots = createSemaphore(1)
  const waits: { ms: number; taken: number }[] = []
  const logged: string[] = []
  const write = (_about: unknown, text?: string) => void logged.push(String(text))
  const queue = Array.isArray(outcomes) ? [...outcomes] : undefined
  const deliver = createDelivery({
    slots,
    log: { debug: () => {}, info: write, warn: () => {}, error: write },
    work: async () => {
      const outcome = queue ? queue.shift() : (outcomes as () => Error | string)()
      if (outcome instanceof Error) throw outcome
    },
    delay: async (ms) => void waits.push({ ms, taken: slots.taken }),
    ...over,
  })
  return { deliver, slots, waits, logged }
}
