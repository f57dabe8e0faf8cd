/**
 * Many small requests as few large ones: while one is under way the next one fills, without any timer, so that a
 * lone request waits for nobody and a storm of them is a handful.
 *
 * A batch is bounded, and the event loop turns between two: answering thousands of requests at once would let
 * everybody else wait.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

export type Batcher<Item, Reply> = (item: Item) => Promise<Reply>

/** Some milliseconds of work for one statement and its answers. */
const MAX_BATCH = 50

/** How long a flood is collected at most, ms; a batch has to be worth its statement. */
const GATHER_MS = 20

/** A connection says one thing a turn, and not each is an item of this batch. */
const QUIET_TURNS = 4

/**
 * @param run answers a list of items, by position
 * @param lingerMs how long each batch waits for more items; 0 if somebody waits for the reply
 */
export function createBatcher<Item, Reply>(
  run: (items: Item[]) => Promise<Reply[]>,
  { maxBatch = MAX_BATCH, lingerMs = 0 } = {},
): Batcher<Item, Reply> {
  interface Waiting {
    item: Item
    resolve: (reply: Reply) => void
    reject: (error: unknown) => void
  }
  /** In the order they came. */
  let waiting: Waiting[] = []
  let isRunning = false

  async function runAll(): Promise<void> {
    isRunning = true
    if (lingerMs > 0) await sleep(lingerMs)
    while (waiting.length > 0) {
      const batch = waiting.slice(0, maxBatch)
      waiting = waiting.slice(maxBatch)
      try {
        const replies = await run(batch.map(({ item }) => item))
        batch.forEach(({ resolve }, index) => {
          resolve(replies[index] as Reply)
        })
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
      await (lingerMs > 0 ? sleep(lingerMs) : collect())
    }
    isRunning = false
  }

  /** Lets the event loop turn, once or until nothing new comes for some turns. */
  async function collect(): Promise<void> {
    const until = performance.now() + GATHER_MS
    let quiet = 0
    do {
      const known = waiting.length
      await nextTurn()
      quiet = waiting.length > known ? 0 : quiet + 1
    } while (quiet < QUIET_TURNS && waiting.length < maxBatch && performance.now() < until)
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      if (!isRunning) void runAll()
    })
}
