import t from 'tap'
import type { ChapterEvent } from '../../src/contract/event.js'
import { waitFor } from '../support/condition.js'
import { eventOf, FakeLog, recordFeed } from './fake-log.js'

const NEVER_MS = 1_000_000_000

/** Chapter 1 with four events, all of which its room has. */
function settledRoom(t: Tap, options: Parameters<typeof recordFeed>[2] = {}) {
  const log = new FakeLog()
  for (let count = 4; count > 0; count--) log.commit(1)
  const recorded = recordFeed(t, log, options)
  const room = recorded.feed.open(1)
  room.absorb(log.page(1))
  return { log, room, ...recorded }
}
type Tap = Parameters<typeof recordFeed>[0]

t.test('events that come late, twice or in any order are handed on once and in order', async (t) => {
  for (const order of ordersOf([5, 6, 7, 8])) {
    const { feed, heard } = settledRoom(t, { holeMs: NEVER_MS })
    for (const seq of order) {
      feed.deliver([{ chapterId: 1, events: [eventOf(1, seq)], progress: null }])
      feed.deliver([{ chapterId: 1, events: [eventOf(1, seq), eventOf(1, 3)], progress: null }])
    }
    t.same(heard(), [5, 6, 7, 8], `came as ${order.join()}`)
    await feed.close()
  }
})

t.test('events of one entry may come in any order as well', async (t) => {
  const { feed, heard } = settledRoom(t)
  feed.deliver([{ chapterId: 1, events: [eventOf(1, 7), eventOf(1, 5), eventOf(1, 6)], progress: null }])
  t.same(heard(), [5, 6, 7])
})

t.test(
  'what comes before the log was read waits for it, and only what the log lacked is handed on',
  async (t) => {
    const log = new FakeLog()
    const { feed, heard } = recordFeed(t, log, { holeMs: NEVER_MS })
    const room = feed.open(1)
    const page = () => log.page(1)
    log.commit(1)
    feed.deliver([log.commit(1)])
    const read = page()
    feed.deliver([log.commit(1)])
    t.same(heard(), [])
    t.equal(room.position, undefined)
    room.absorb(read)
    t.same(heard(), [3])
    t.equal(room.position, 3)
  },
)

t.test('the room of a chapter that does not exist yet hears it from its first event on', async (t) => {
  const log = new FakeLog()
  const { feed, heard } = recordFeed(t, log)
  const room = feed.open(1)
  room.absorb(undefined)
  t.equal(room.position, 0)
  feed.deliver([log.commit(1, ['chapter_processing_started', 'concept_processing'])])
  t.same(heard(), [1, 2])
})

t.test('a hole that lasts is read from the log', async (t) => {
  const { log, feed, heard, errors } = settledRoom(t)
  log.commit(1)
  log.commit(1)
  feed.deliver([log.commit(1)])
  t.same(heard(), [])
  await waitFor('the hole is filled', () => heard().length > 0)
  t.same(heard(), [5, 6, 7])
  t.same(log.reads, [[{ chapterId: 1, after: 4, progressVersion: 0 }]])
  t.same(errors, [])
})

t.test('a hole that fills by itself is not read', async (t) => {
  const { log, feed, heard } = settledRoom(t)
  const other = feed.open(2)
  other.absorb(undefined)
  const five = log.commit(1)
  feed.deliver([log.commit(1)])
  feed.deliver([five])
  t.same(heard(), [5, 6])
  log.commit(2)
  feed.deliver([log.commit(2)])
  await waitFor('a later hole is filled', () => heard(2).length === 2)
  t.same(log.asked, [2])
})

t.test('a hole is read in time although more keeps coming', async (t) => {
  const { log, feed, heard } = settledRoom(t, { holeMs: 60 })
  log.commit(1)
  const startedAt = performance.now()
  await waitFor(
    'the hole is filled',
    () => {
      feed.deliver([log.commit(1)])
      return heard().length > 0
    },
    { timeoutMs: 3000, everyMs: 5 },
  )
  t.ok(performance.now() - startedAt < 1000)
  t.equal(heard()[0], 5)
})

t.test('a hole is read again when the log could not be read, or did not have it yet', async (t) => {
  const { log, feed, heard, errors } = settledRoom(t)
  const readNews = log.readNews.bind(log)
  log.readNews = async () => {
    log.readNews = async () => {
      log.readNews = readNews
      return new Map()
    }
    throw new Error('away')
  }
  const five = log.commit(1)
  const six = log.commit(1)
  feed.deliver([six])
  await waitFor('the failure is told', () => errors.length > 0)
  feed.deliver([six])
  await waitFor('the log was asked again', () => log.readNews === readNews)
  t.same(heard(), [])
  feed.deliver([five])
  t.same(heard(), [5, 6])
})

t.test('what never came is found in the log by itself, in every room at once', async (t) => {
  const { log, feed, heard } = settledRoom(t, { repairMs: 20 })
  for (const chapterId of [2, 3]) feed.open(chapterId).absorb(log.page(chapterId))
  feed.open(4)
  for (const chapterId of [1, 2, 3, 4]) log.commit(chapterId, ['quiz_started', 'quiz_completed'], 40)
  await waitFor('all is repaired', () => heard(1).length * heard(2).length * heard(3).length === 27)
  t.same(heard(1), [5, 6, '40%'])
  t.same(heard(2), [1, 2, '40%'])
  t.ok(
    log.reads.every((cursors) => cursors.map(({ chapterId }) => chapterId).join() === '1,2,3'),
    'one query, without the room that was not read yet',
  )
})

t.test('repair can be asked for, and goes on after a failure', async (t) => {
  const { log, feed, heard, errors } = settledRoom(t)
  const readNews = log.readNews.bind(log)
  log.readNews = async () => {
    log.readNews = readNews
    throw new Error('away')
  }
  log.commit(1)
  feed.repair()
  await waitFor('the failure is told', () => errors.length > 0)
  t.same(heard(), [])
  feed.repair()
  await waitFor('the room has it', () => heard().length > 0)
  t.same(heard(), [5])
})

t.test('an entry for a chapter that nobody here listens to is dropped', async (t) => {
  const { log, feed, heard } = settledRoom(t)
  feed.deliver([log.commit(2, ['quiz_started'], 10)])
  const room = feed.open(2)
  t.equal(room.position, undefined)
  t.equal(room.progress, null)
  room.absorb(undefined)
  t.same(heard(2), [])
})

t.test('a chapter’s feed lives while anyone has a share in it', async (t) => {
  const { log, feed, room, heard } = settledRoom(t)
  const second = feed.open(1)
  t.equal(second.position, 4, 'the second comes to where the room stands')
  room.close()
  room.close()
  feed.deliver([log.commit(1)])
  t.same(heard(), [5], 'closing twice is closing once')
  second.close()
  feed.deliver([log.commit(1)])
  t.same(heard(), [5])
  t.equal(feed.open(1).position, undefined, 'opened again it starts anew')
})

t.test('a stale answer of the log takes nobody back', async (t) => {
  const { log, feed, room, heard } = settledRoom(t)
  const old = log.page(1)
  feed.deliver([log.commit(1, ['quiz_started'], 70)])
  room.absorb(old)
  t.equal(room.position, 5)
  t.same(heard(), [5, '70%'])
})

t.test('a log that was deleted is jumped over', async (t) => {
  const { log, feed, room, heard } = settledRoom(t)
  for (let count = 4; count > 0; count--) log.commit(1)
  feed.deliver([{ chapterId: 1, events: [eventOf(1, 7)], progress: null }])
  log.deleteLog(1)
  await waitFor('the room stands after it', () => room.position === 8)
  t.same(heard(), [])
  feed.deliver([log.commit(1)])
  t.same(heard(), [9])
})

t.test('the log goes on after the end of a run', async (t) => {
  const { log, feed, heard } = settledRoom(t)
  feed.deliver([log.commit(1, ['quiz_failed', 'chapter_failed'])])
  feed.deliver([log.commit(1, ['concept_completed'])])
  t.same(heard(), [5, 6, 7])
})

t.test('a listener of its own hears from where the room stands, until it closes', async (t) => {
  const { log, feed, heard } = settledRoom(t)
  const names: string[] = []
  const share = feed.open(1)
  share.listen({
    event: ({ name, payload }: ChapterEvent) => {
      names.push(`${payload.seq} ${name}`)
      if (name === 'all_completed') share.close()
    },
    progress: ({ progress }) => names.push(`${progress}%`),
  })
  feed.deliver([log.commit(1, ['quiz_completed', 'all_completed', 'quiz_completed'], 100)])
  t.same(names, ['5 quiz_completed', '100%', '6 all_completed'], 'it may close while it is told')
  t.same(heard(), [5, '100%', 6, 7], 'and the others hear on')
})

t.test('a closed feed is silent', async (t) => {
  const { log, feed, heard } = settledRoom(t, { holeMs: 1, repairMs: 1 })
  log.commit(1)
  feed.deliver([log.commit(1)])
  await feed.close()
  feed.deliver([log.commit(1)])
  t.same(heard(), [])
})

function ordersOf(items: number[]): number[][] {
  if (items.length < 2) return [items]
  return items.flatMap((item) =>
    ordersOf(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  )
}
