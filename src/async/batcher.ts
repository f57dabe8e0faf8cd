/**
 * Many small requests as few large ones: while one is under way the next gathers, without any timer, so that a
 * lone request waits for nobody and a storm of them is a handful.
 */
export type Batcher<Item, Reply> = (item: Item) => Promise<Reply>

/** @param run answers a list of items, by position */
export function createBatcher<Item, Reply>(run: (items: Item[]) => Promise<Reply[]>): Batcher<Item, Reply> {
  interface Waiting {
    item: Item
    resolve: (reply: Reply) => void
    reject: (error: unknown) => void
  }
  let waiting: Waiting[] = []
  let isRunning = false

  async function runAll(): Promise<void> {
    isRunning = true
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        const replies = await run(batch.map(({ item }) => item))
        batch.forEach(({ resolve }, index) => {
          resolve(replies[index] as Reply)
        })
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    isRunning = false
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      if (!isRunning) void runAll()
    })
}
