import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { repeat } from '../../src/async/repeat.js'
import { waitFor } from '../support/condition.js'
import { gate } from '../support/node.js'

t.test('a turn follows the other, and never two at once', async (t) => {
  let running = 0
  let most = 0
  let turns = 0
  const repeating = repeat(
    async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise(setImmediate)
      repeating.soon()
      running -= 1
      turns += 1
      return true
    },
    1,
    () => {},
  )
  await waitFor('ten turns', () => turns >= 10)
  await repeating.stop()
  t.equal(most, 1)
})

t.test('asked for, a turn comes at once; asked for during a turn, once more after it', async (t) => {
  const first = gate()
  let turns = 0
  const repeating = repeat(
    async () => {
      turns += 1
      if (turns === 1) await first.wait()
      return false
    },
    2 ** 30,
    () => {},
  )
  repeating.soon()
  await first.passed
  repeating.soon()
  repeating.soon()
  first.open()
  await waitFor('the second turn', () => turns === 2)
  // A marker: what was asked for before it has come before it.
  repeating.soon()
  await waitFor('the third turn', () => turns === 3)
  await repeating.stop()
  t.equal(turns, 3)
})

t.test(
  'turns asked for with a linger are one turn, and one asked for without it does not wait',
  async (t) => {
    let turns = 0
    const asked = repeat(
      async () => {
        turns += 1
        return false
      },
      2 ** 30,
      () => {},
    )
    for (let index = 0; index < 10; index++) {
      asked.soon(100)
      await delay(2)
    }
    await waitFor('the turn', () => turns > 0)
    asked.soon(2 ** 20)
    asked.soon()
    asked.soon(2 ** 20)
    await waitFor('the second turn', () => turns === 2)
    await asked.stop()
    t.equal(turns, 2)
  },
)

t.test('a turn that fails is reported and the next one comes all the same', async (t) => {
  const errors: unknown[] = []
  let turns = 0
  const repeating = repeat(
    async () => {
      turns += 1
      throw new Error(`turn ${turns}`)
    },
    1,
    (error) => errors.push(error),
  )
  await waitFor('three turns', () => turns >= 3)
  await repeating.stop()
  t.match(errors.slice(0, 2), [{ message: 'turn 1' }, { message: 'turn 2' }])
})

t.test('stopping waits for the turn under way, and no other comes', async (t) => {
  const held = gate()
  let turns = 0
  const repeating = repeat(
    async () => {
      turns += 1
      await held.wait()
      return true
    },
    1,
    () => {},
  )
  await held.passed
  let isStopped = false
  const stopping = repeating.stop().then(() => {
    isStopped = true
  })
  repeating.soon()
  await new Promise(setImmediate)
  t.notOk(isStopped)
  held.open()
  await stopping
  repeating.soon()
  await new Promise(setImmediate)
  t.equal(turns, 1)
})

t.test('a pause longer than a timer can be is not no pause', async (t) => {
  let turns = 0
  const repeating = repeat(
    async () => {
      turns += 1
      return false
    },
    2 ** 60,
    () => {},
  )
  await delay(20)
  await repeating.stop()
  t.equal(turns, 0)
})
