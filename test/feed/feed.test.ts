import t from 'tap'
import type { ChapterEvent } from '../../src/contract/event.js'
import type { Feed } from '../../src/feed/feed.js'
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
    const { feed, deliver, heard } = settledRoom(t, { holeMs: NEVER_MS })
    for (const seq of order) {
      deliver([{ chapterId: 1, events: [eventOf(1, seq)], progress: null }])
      deliver([{ chapterId: 1, events: [eventOf(1, seq), eventOf(1, 3)], progress: null }])
    }
    t.same(heard(), [5, 6, 7, 8], `came as ${order.join()}`)
    await feed.close()
  }
})

t.test('events of one entry may come in any order as well', async (t) => {
  const { deliver, heard } = settledRoom(t)
  deliver([{ chapterId: 1, events: [eventOf(1, 7), eventOf(1, 5), eventOf(1, 6)], progress: null }])
  t.same(heard(), [5, 6, 7])
})

t.test(
  'what comes before the log was read waits for it, and only what the log lacked is handed on',
  async (t) => {
    const log = new FakeLog()
    const { feed, deliver, heard } = recordFeed(t, log, { holeMs: NEVER_MS })
    const room = feed.open(1)
    const page = () => log.page(1)
    log.commit(1)
    deliver([log.commit(1)])
    const read = page()
    deliver([log.commit(1)])
    t.same(heard(), [])
    t.equal(room.position, undefined)
    room.absorb(read)
    t.same(heard(), [3])
    t.equal(room.position, 3)
  },
)

t.test('the room of a chapter that does not exist yet hears it from its first event on', async (t) => {
  const log = new FakeLog()
  const { feed, deliver, heard } = recordFeed(t, log)
  const room = feed.open(1)
  room.absorb(undefined)
  t.equal(room.position, 0)
  deliver([log.commit(1, ['chapter_processing_started', 'concept_processing'])])
  t.same(heard(), [1, 2])
})

t.test('a hole that lasts is read from the log', async (t) => {
  const { log, deliver, heard, errors } = settledRoom(t)
  log.commit(1)
  log.commit(1)
  deliver([log.commit(1)])
  t.same(heard(), [])
  await waitFor('the hole is filled', () => heard().length > 0)
  t.same(heard(), [5, 6, 7])
  t.same(log.reads, [[{ chapterId: 1, after: 4, progressVersion: 0 }]])
  t.same(errors, [])
})

t.test('a hole that fills by itself is not read', async (t) => {
  const { log, feed, deliver, heard } = settledRoom(t)
  const other = feed.open(2)
  other.absorb(undefined)
  const five = log.commit(1)
  deliver([log.commit(1)])
  deliver([five])
  t.same(heard(), [5, 6])
  log.commit(2)
  deliver([log.commit(2)])
  await waitFor('a later hole is filled', () => heard(2).length === 2)
  t.same(log.asked, [2])
})

t.test('a hole is read although more keeps coming', async (t) => {
  const { log, deliver, heard } = settledRoom(t, { holeMs: 60 })
  log.commit(1)
  await waitFor(
    'the hole is filled',
    () => {
      deliver([log.commit(1)])
      return heard().length > 0
    },
    { everyMs: 5 },
  )
  t.equal(heard()[0], 5)
})

t.test('a hole is read again when the log could not be read, or did not have it yet', async (t) => {
  const { log, deliver, heard, errors } = settledRoom(t)
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
  deliver([six])
  await waitFor('the failure is told', () => errors.length > 0)
  deliver([six])
  await waitFor('the log was asked again', () => log.readNews === readNews)
  t.same(heard(), [])
  deliver([five])
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

t.test(
  'an event counts as missed, once, when it was read from the log and no message of it came',
  async (t) => {
    const { log, feed, deliver, heard } = settledRoom(t, { holeMs: NEVER_MS })
    const late = log.commit(1)
    await feed.refresh(1)
    t.same(heard(), [5])
    deliver([late])
    log.commit(1)
    deliver([log.commit(1)])
    await feed.refresh(1)
    t.same(heard(), [5, 6, 7])
    await turnsOf(feed, log, 1)
    t.equal(feed.missed, 0, 'a message may still come')
    quietFor(t, 2000)
    await turnsOf(feed, log, 2)
    t.equal(feed.missed, 1, 'neither the one that came later nor the one that was held for it')
  },
)

t.test('an entry for a chapter that nobody here listens to is dropped', async (t) => {
  const { log, feed, deliver, heard } = settledRoom(t)
  deliver([log.commit(2, ['quiz_started'], 10)])
  const room = feed.open(2)
  t.equal(room.position, undefined)
  t.equal(room.progress, null)
  room.absorb(undefined)
  t.same(heard(2), [])
})

t.test('a chapter’s feed lives while anyone has a share in it', async (t) => {
  const { log, feed, deliver, room, heard } = settledRoom(t)
  const second = feed.open(1)
  t.equal(second.position, 4, 'the second comes to where the room stands')
  room.close()
  room.close()
  deliver([log.commit(1)])
  t.same(heard(), [5], 'closing twice is closing once')
  second.close()
  deliver([log.commit(1)])
  t.same(heard(), [5])
  t.equal(feed.open(1).position, undefined, 'opened again it starts anew')
})

t.test('a stale answer of the log takes nobody back', async (t) => {
  const { log, deliver, room, heard } = settledRoom(t)
  const old = log.page(1)
  deliver([log.commit(1, ['quiz_started'], 70)])
  room.absorb(old)
  t.equal(room.position, 5)
  t.same(heard(), [5, '70%'])
})

t.test('a log that was deleted is jumped over', async (t) => {
  const { log, deliver, room, heard } = settledRoom(t)
  for (let count = 4; count > 0; count--) log.commit(1)
  deliver([{ chapterId: 1, events: [eventOf(1, 7)], progress: null }])
  log.deleteLog(1)
  await waitFor('the room stands after it', () => room.position === 8)
  t.same(heard(), [])
  deliver([log.commit(1)])
  t.same(heard(), [9])
})

t.test('the log goes on after the end of a run', async (t) => {
  const { log, deliver, heard } = settledRoom(t)
  deliver([log.commit(1, ['quiz_failed', 'chapter_failed'])])
  deliver([log.commit(1, ['concept_completed'])])
  t.same(heard(), [5, 6, 7])
})

t.test('a listener of its own hears from where the room stands, until it closes', async (t) => {
  const { log, feed, deliver, heard } = settledRoom(t)
  const names: string[] = []
  const share = feed.open(1)
  share.listen({
    event: ({ name, payload }: ChapterEvent) => {
      names.push(`${payload.seq} ${name}`)
      if (name === 'all_completed') share.close()
    },
    progress: ({ progress }) => names.push(`${progress}%`),
  })
  deliver([log.commit(1, ['quiz_completed', 'all_completed', 'quiz_completed'], 100)])
  t.same(names, ['5 quiz_completed', '100%', '6 all_completed'], 'it may close while it is told')
  t.same(heard(), [5, '100%', 6, 7], 'and the others hear on')
})

t.test(
  'with ten thousand quiet rooms a turn asks for a few hundred of them, and for each in turn',
  async (t) => {
    const { feed, log } = await quietRooms(t, { count: 10_000, quietRooms: 200 })
    await turnsOf(feed, log, 55)
    const turns = log.reads
    t.ok(
      turns.every((cursors) => cursors.length <= 200),
      `at most ${Math.max(...turns.map((cursors) => cursors.length))} of 10,000`,
    )
    t.equal(
      new Set(
        turns
          .slice(0, 51)
          .flat()
          .map(({ chapterId }) => chapterId),
      ).size,
      10_000,
      'each within 51 turns',
    )
  },
)

t.test('a room in which something happened is asked for in every turn, for a while', async (t) => {
  const { feed, log, deliver } = await quietRooms(t, { count: 3000, quietRooms: 100 })
  for (const chapterId of [2000, 2500]) deliver([log.commit(chapterId)])
  feed.publish([log.commit(2900)])
  await turnsOf(feed, log, 5)
  const turns = [...log.reads]
  for (const chapterId of [2000, 2500, 2900])
    t.ok(
      turns.every((cursors) => cursors.some((cursor) => cursor.chapterId === chapterId)),
      `chapter ${chapterId}`,
    )
  t.ok(turns.every((cursors) => cursors.length <= 103))

  quietFor(t, 20_000)
  await turnsOf(feed, log, 2)
  t.ok((log.reads.at(-1)?.length ?? 0) <= 100, 'and then it is quiet')
})

t.test('when something may have been missed, every room is asked for at once', async (t) => {
  const { feed, log, bus, heard } = await quietRooms(t, { count: 10_000, quietRooms: 200 })
  for (const chapterId of [1, 5000, 10_000]) log.commit(chapterId)
  bus.miss()
  await waitFor('what was missed', () => [1, 5000, 10_000].every((id) => heard(id).length === 1))
  const asked = [...log.reads]
  t.equal(new Set(asked.flat().map(({ chapterId }) => chapterId)).size, 10_000)
  t.ok(asked.length <= 11, `${asked.length} queries`)
  await turnsOf(feed, log, 1)
  t.ok((log.reads.at(-1)?.length ?? 0) <= 203, 'once')
})

t.test('while another node is silent, every room is asked for in every turn', async (t) => {
  const { feed, log, bus } = await quietRooms(t, { count: 900, quietRooms: 10 })
  bus.isComplete = false
  await turnsOf(feed, log, 2)
  t.same(
    log.reads.slice(-2).map(({ length }) => length),
    [900, 900],
  )
  bus.isComplete = true
  await turnsOf(feed, log, 1)
  t.equal(log.reads.at(-1)?.length, 10)
})

t.test('when a room may have missed something, that room is asked for at once', async (t) => {
  const { log, bus, heard } = await quietRooms(t, { count: 3000, quietRooms: 10 })
  log.commit(2222)
  bus.miss(2222)
  await waitFor('what was missed', () => heard(2222).length === 1)
  bus.miss(9999)
})

t.test('what may have been missed is still looked for after a query that failed', async (t) => {
  const { feed, log, bus, heard, errors } = await quietRooms(t, { count: 3000, quietRooms: 10 })
  const readNews = log.readNews.bind(log)
  log.readNews = async () => {
    log.readNews = readNews
    // Meanwhile somebody comes to another room.
    feed.open(3001).absorb(undefined)
    throw new Error('away')
  }
  log.commit(2222)
  bus.miss()
  await waitFor('the failure', () => errors.length > 0)
  await turnsOf(feed, log, 1)
  await waitFor('what was missed', () => heard(2222).length === 1)
})

t.test('what a room missed while its log was first read is found in the next turn', async (t) => {
  const { log, feed, bus, heard } = settledRoom(t, { repairMs: 20 })
  const room = feed.open(2)
  log.commit(2)
  const read = log.page(2)
  // Committed elsewhere after the read, and before Redis had subscribed.
  log.commit(2)
  log.commit(1)
  bus.miss(2)
  await waitFor('a turn', () => heard(1).length === 1)
  room.absorb(read)
  await waitFor('what was missed', () => heard(2).length === 1)
})

t.test(
  'a feed tells other nodes what was committed here, and subscribes while its room is open',
  async (t) => {
    const { log, feed, bus, room, heard } = settledRoom(t)
    const entries = [log.commit(1), log.commit(2)]
    feed.publish(entries)
    t.same(bus.published, entries, 'of every chapter')
    t.same(heard(), [5], 'its own listeners at once')
    const second = feed.open(1)
    t.same([...bus.channels], [1])
    room.close()
    t.same([...bus.channels], [1])
    second.close()
    t.same([...bus.channels], [])
  },
)

t.test('without other nodes a feed needs no bus', async (t) => {
  const log = new FakeLog()
  const { feed, heard } = recordFeed(t, log, { bus: undefined })
  const room = feed.open(1)
  await room.subscribed
  room.absorb(undefined)
  feed.publish([log.commit(1)])
  t.same(heard(), [1])
})

t.test('a closed feed is silent', async (t) => {
  const { log, feed, deliver, heard } = settledRoom(t, { holeMs: 1, repairMs: 1 })
  log.commit(1)
  deliver([log.commit(1)])
  await feed.close()
  deliver([log.commit(1)])
  t.same(heard(), [])
})

/** Rooms that have all there is, namely nothing, and in which nothing happened for long. */
async function quietRooms(t: Tap, { count, quietRooms }: { count: number; quietRooms: number }) {
  const log = new FakeLog()
  const recorded = recordFeed(t, log, { quietRooms })
  for (let chapterId = 1; chapterId <= count; chapterId++) recorded.feed.open(chapterId).absorb(undefined)
  quietFor(t, 20_000)
  // The first turn finds out that they are quiet.
  recorded.feed.repair(0)
  await waitFor('the first turn', () => log.asked.length === count)
  await turnsOf(recorded.feed, log, 1)
  log.reads.length = 0
  return { log, ...recorded }
}

/** Lets the process's clock jump. */
function quietFor(t: Tap, ms: number): void {
  const now = performance.now.bind(performance)
  performance.now = () => now() + ms
  t.teardown(() => {
    performance.now = now
  })
}

/** Has the feed repair, as it does by itself from time to time. Each turn asks at least one room. */
async function turnsOf(feed: Feed, log: FakeLog, turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    const reads = log.reads.length
    // Of no room in particular.
    feed.repair(0)
    await waitFor('a turn', () => log.reads.length > reads, { everyMs: 1 })
  }
}

function ordersOf(items: number[]): number[][] {
  if (items.length < 2) return [items]
  return items.flatMap((item) =>
    ordersOf(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  )
}

t.test('after a failover that lost commits, a room hears what is committed next', async (t) => {
  const log = new FakeLog()
  const { feed, heard } = recordFeed(t, log, { repairMs: 20 })
  for (let count = 4; count > 0; count--) log.commit(1)
  feed.open(1).absorb(log.page(1))
  feed.publish([log.commit(1), log.commit(1)])
  t.same(heard(), [5, 6])
  log.lose(1, 2)
  const reads = log.reads.length
  await waitFor('the room to be asked for', () => log.reads.length > reads + 1)
  feed.publish([log.commit(1)])
  t.same(heard(), [5, 6, 5])
})
