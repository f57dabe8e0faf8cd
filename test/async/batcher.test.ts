import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { createBatcher } from '../../src/async/batcher.js'

t.test('a lone request waits for nobody', async (t) => {
  const batches: number[][] = []
  const ask = createBatcher(async (items: number[]) => {
    batches.push(items)
    return items
  })
  const asked = ask(1)
  t.strictSame(batches, [[1]], 'at once')
  t.equal(await asked, 1)
})

t.test(
  'a flood is answered in order, in bounded batches, and the event loop turns between them',
  async (t) => {
    const sizes: number[] = []
    const turns: number[] = []
    let turn = 0
    let isOver = false
    const count = async () => {
      for (; !isOver; turn++) await nextTurn()
    }
    void count()
    const ask = createBatcher(
      async (items: number[]) => {
        sizes.push(items.length)
        turns.push(turn)
        return items.map((item) => item * 2)
      },
      { maxBatch: 10 },
    )
    const answers = await Promise.all(Array.from({ length: 95 }, (_, index) => ask(index)))
    isOver = true
    t.strictSame(
      answers,
      Array.from({ length: 95 }, (_, index) => index * 2),
    )
    t.equal(Math.max(...sizes), 10)
    t.ok(sizes.length < 15, `${sizes.length} batches`)
    t.ok(new Set(turns).size >= sizes.length - 1, 'no two in one turn')
  },
)

t.test('what comes one by one, turn after turn, is gathered', async (t) => {
  const sizes: number[] = []
  const ask = createBatcher(async (items: number[]) => {
    sizes.push(items.length)
    return items
  })
  const asked: Promise<number>[] = []
  for (let index = 0; index < 100; index++) {
    asked.push(ask(index))
    await nextTurn()
  }
  await Promise.all(asked)
  t.ok(sizes.length < 50, `${sizes.length} batches`)
})

t.test('with a linger, requests some milliseconds apart are one batch', async (t) => {
  const batches: number[][] = []
  const ask = createBatcher(
    async (items: number[]) => {
      batches.push(items)
      return items
    },
    { lingerMs: 500 },
  )
  const first = ask(1)
  await delay(5)
  t.strictSame(await Promise.all([first, ask(2)]), [1, 2])
  t.strictSame(batches, [[1, 2]])
})

t.test('a batch that fails is everybody’s failure in it, and the next goes on', async (t) => {
  let calls = 0
  const ask = createBatcher(async (items: number[]) => {
    calls += 1
    if (calls === 1) throw new Error('away')
    return items
  })
  await t.rejects(ask(1), /away/)
  t.equal(await ask(2), 2)
})
