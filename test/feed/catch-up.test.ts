import t from 'tap'
import { type CaughtUp, catchUp, createPageReader, type PageReader } from '../../src/feed/catch-up.js'
import type { LogPage } from '../../src/store/events.js'
import { waitFor } from '../support/condition.js'
import { FakeLog, recordFeed } from './fake-log.js'

type Tap = Parameters<typeof recordFeed>[0]

/** A chapter with eight events, and reads that are answered one by one, when the test says so. */
function slowLog(t: Tap) {
  const log = new FakeLog()
  for (let count = 8; count > 0; count--) log.commit(1)
  const { feed, bus, deliver, heard } = recordFeed(t, log, { holeMs: 1_000_000_000 })
  const reads: {
    after: number
    answer: (page: LogPage | undefined) => void
    fail: (error: Error) => void
  }[] = []
  const readPage: PageReader = (_chapterId, after) =>
    new Promise((answer, fail) => reads.push({ after, answer, fail }))
  /** Answers the oldest read, with the log as it is now unless another page is given. */
  const answer = async (page?: LogPage) => {
    const read = await waitFor('a read', () => reads.shift())
    read.answer(page ?? log.page(1, read.after))
  }
  const entrances: CaughtUp[] = []
  const enter = (after: number, isWanted = () => true) =>
    catchUp({
      feed,
      readPage,
      chapterId: 1,
      after,
      isWanted,
      onCaughtUp: (entrance) => entrances.push(entrance),
    })
  const replayed = () => entrances.map(({ missed }) => missed.map(({ payload }) => payload.seq))
  return { log, feed, bus, deliver, heard, reads, answer, enter, entrances, replayed }
}

t.test('a newcomer is given what follows its cursor, and then hears the rest', async (t) => {
  const { log, deliver, heard, answer, enter, replayed } = slowLog(t)
  const entering = enter(5)
  await answer()
  t.equal(await entering, true)
  t.same(replayed(), [[6, 7, 8]])
  deliver([log.commit(1)])
  t.same(heard(), [9])
})

t.test('what is committed during the read is neither lost nor heard twice', async (t) => {
  const { log, deliver, heard, reads, answer, enter, replayed } = slowLog(t)
  const entering = enter(5)
  await waitFor('the read', () => reads.length === 1)
  const page = log.page(1, 5)
  deliver([log.commit(1)])
  await answer(page)
  await answer()
  await entering
  t.same(replayed(), [[6, 7, 8, 9]])
  deliver([log.commit(1)])
  t.same(heard(), [9, 10], 'the 9 was heard before anyone was in')
})

t.test('a newcomer that is ahead of the room waits until the room has caught up', async (t) => {
  const { log, reads, feed, answer, enter, entrances, replayed } = slowLog(t)
  const behind = log.page(1)
  const other = feed.open(1)
  log.commit(1)
  log.commit(1)
  // It saw 10 on another node. Its read is under way when the room learns of an older end.
  const entering = enter(10)
  await waitFor('the read', () => reads.length === 1)
  other.absorb(behind)
  log.commit(1)
  await answer()
  await answer()
  t.equal(await entering, true, 'after two reads')
  t.same(replayed(), [[11]])
  t.equal(entrances[0]?.room.position, 11)
})

t.test('a newcomer whose cursor is beyond the end is given everything', async (t) => {
  const { answer, enter, entrances, replayed } = slowLog(t)
  const entering = enter(99)
  await answer()
  await entering
  t.equal(entrances[0]?.isReset, true)
  t.same(replayed(), [[1, 2, 3, 4, 5, 6, 7, 8]])
})

t.test('a log that is deleted while a newcomer comes is not waited for', async (t) => {
  const { log, feed, answer, enter, entrances, replayed } = slowLog(t)
  feed.open(1).absorb(log.page(1))
  log.commit(1)
  log.deleteLog(1)
  const entering = enter(3)
  await answer()
  await entering
  t.same(replayed(), [[]])
  t.equal(entrances[0]?.room.position, 9)
})

t.test('who does not want in any more is not admitted and leaves no share behind', async (t) => {
  const { feed, answer, enter, entrances, reads } = slowLog(t)
  let isWanted = true
  const entering = enter(0, () => isWanted)
  await waitFor('the read', () => reads.length === 1)
  isWanted = false
  await answer()
  t.equal(await entering, false)
  t.same(entrances, [])
  t.equal(feed.open(1).position, undefined)
})

t.test('a read that fails is told, and leaves no share behind', async (t) => {
  const { feed, reads, enter } = slowLog(t)
  const entering = enter(0)
  const read = await waitFor('the read', () => reads.shift())
  read.fail(new Error('away'))
  await t.rejects(entering, { message: 'away' })
  feed.open(1).absorb(undefined)
  t.equal(feed.open(1).position, 0, 'the room starts anew')
})

t.test('joins that come while the log is read become one query', async (t) => {
  const log = new FakeLog()
  for (const chapterId of [1, 2]) for (let count = 4; count > 0; count--) log.commit(chapterId)
  const readPage = createPageReader(log)
  const pages = await Promise.all([
    readPage(1, 0),
    readPage(1, 3),
    readPage(2, 1),
    readPage(1, 2),
    readPage(3, 0),
  ])
  t.same(log.reads, [
    [{ chapterId: 1, after: 0 }],
    [
      { chapterId: 1, after: 2 },
      { chapterId: 2, after: 1 },
      { chapterId: 3, after: 0 },
    ],
  ])
  t.same(
    pages.map((page) => page?.events.map(({ payload }) => payload.seq)),
    [[1, 2, 3, 4], [3, 4], [2, 3, 4], [3, 4], undefined],
    'a page may hold more than was asked for',
  )
})

t.test('a cursor beyond the end is answered with everything, whatever others ask for', async (t) => {
  const log = new FakeLog()
  for (let count = 4; count > 0; count--) log.commit(1)
  const readPage = createPageReader(log)
  const pages = await Promise.all([readPage(2, 0), readPage(1, 3), readPage(1, 99)])
  t.same(
    pages[2]?.events.map(({ payload }) => payload.seq),
    [1, 2, 3, 4],
  )
})

t.test('a query that fails is told to those who wait for it, and to nobody after', async (t) => {
  const log = new FakeLog()
  log.commit(1)
  log.latency = async () => {
    if (log.reads.length === 1) throw new Error('away')
  }
  const readPage = createPageReader(log)
  const outcomes = await Promise.allSettled([readPage(1, 0), readPage(1, 0)])
  t.match(outcomes, [{ reason: { message: 'away' } }, { value: { lastSeq: 1 } }])
  t.match(await readPage(1, 0), { lastSeq: 1 })
})

t.test('after a failover that lost commits, a newcomer is let in', async (t) => {
  const { log, deliver, heard, answer, enter, entrances, replayed } = slowLog(t)
  const first = enter(0)
  await answer()
  await first
  deliver([log.commit(1)])
  log.lose(1, 3)
  const second = enter(9)
  await answer()
  await second
  t.same(replayed()[1], [1, 2, 3, 4, 5, 6])
  t.ok(entrances[1]?.isReset)
  deliver([log.commit(1)])
  t.same(heard(), [9, 7])
})
