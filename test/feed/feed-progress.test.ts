import t from 'tap'
import { waitFor } from '../support/condition.js'
import { FakeLog, recordFeed } from './fake-log.js'

type Tap = Parameters<typeof recordFeed>[0]

/** Chapter 1, whose room has all there is; progress is sent as fast as it comes unless said. */
function openRoom(t: Tap, { progressMs = 0 } = {}) {
  const log = new FakeLog()
  log.commit(1)
  const times: number[] = []
  const recorded = recordFeed(t, log, { progressMs })
  const room = recorded.feed.open(1)
  room.absorb(log.page(1))
  room.listen({ event() {}, progress: () => times.push(performance.now()) })
  const progress = (percent: number) => log.commit(1, [], percent)
  return { log, room, times, progress, ...recorded }
}

t.test('progress that is not newer than the last is dropped', async (t) => {
  const { deliver, heard, progress } = openRoom(t)
  const first = progress(10)
  const second = progress(20)
  deliver([second])
  deliver([second])
  deliver([first])
  deliver([{ chapterId: 1, events: [], progress: null }])
  t.same(heard(), ['20%'])
})

t.test('progress goes down when a newer write says so: a retry starts again', async (t) => {
  const { deliver, heard, progress } = openRoom(t)
  deliver([progress(60)])
  deliver([progress(33)])
  t.same(heard(), ['60%', '33%'])
})

t.test('progress is sent ten times a second at most, and the last one always', async (t) => {
  const { deliver, heard, times, progress, room } = openRoom(t, { progressMs: 100 })
  let percent = 0
  await waitFor(
    'five updates are heard',
    () => {
      percent += 0.5
      deliver([progress(percent)])
      return times.length >= 5
    },
    { everyMs: 5 },
  )
  const last = `${room.progress?.update.progress}%`
  await waitFor('the last one is heard', () => heard().at(-1) === last)
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
  t.ok(
    gaps.every((gap) => gap >= 98),
    `gaps of ${gaps.map(Math.round).join(', ')} ms`,
  )
  t.ok(percent > 10, `${percent * 2} were reported`)
})

t.test('progress that waits is sent before the end of the run rather than after it', async (t) => {
  const { log, feed, deliver, heard, progress } = openRoom(t, { progressMs: 100 })
  deliver([progress(10)])
  deliver([progress(50)])
  t.same(heard(), ['10%'])
  deliver([log.commit(1, ['quiz_completed'])])
  deliver([log.commit(1, ['chapter_cancelled'])])
  t.same(heard(), ['10%', 2, '50%', 3])

  const marker = feed.open(2)
  marker.absorb(undefined)
  deliver([log.commit(2, [], 1)])
  deliver([log.commit(2, [], 2)])
  await waitFor('a later update is sent', () => heard(2).length === 2)
  t.same(heard(), ['10%', 2, '50%', 3], 'and not again when its time comes')
})

t.test('the progress of the write that ends the run comes before its end', async (t) => {
  const { log, deliver, heard } = openRoom(t, { progressMs: 100 })
  deliver([log.commit(1, ['concept_completed'], 66)])
  deliver([log.commit(1, ['quiz_completed', 'all_completed'], 100)])
  t.same(heard(), [2, '66%', 3, '100%', 4])
})

t.test('after the end nothing is heard of progress from before it', async (t) => {
  const { log, deliver, heard, progress } = openRoom(t)
  const late = progress(50)
  deliver([log.commit(1, ['quiz_completed', 'all_completed'], 100)])
  deliver([late])
  t.same(heard(), [2, '100%', 3])
})

t.test('after the end nothing is heard of progress that a cancellation overtook', async (t) => {
  const { log, deliver, heard, progress } = openRoom(t)
  const late = progress(50)
  deliver([log.commit(1, ['chapter_cancelled'])])
  deliver([late])
  t.same(heard(), ['50%', 2], 'the end carried it')
})

t.test('after the end newer progress is heard: a retry', async (t) => {
  const { log, deliver, heard, progress } = openRoom(t)
  deliver([log.commit(1, ['chapter_failed'], 66)])
  deliver([log.commit(1, ['chapter_retrying'], 33)])
  deliver([progress(40)])
  t.same(heard(), ['66%', 2, 3, '33%', '40%'])
})

t.test('a room knows the latest progress, sent or not, for those who join', async (t) => {
  const { feed, deliver, room, heard, progress } = openRoom(t, { progressMs: 100_000 })
  deliver([progress(10)])
  deliver([progress(20)])
  t.same(heard(), ['10%'])
  t.match(feed.open(1).progress, { update: { progress: 20 } })
  t.match(room.progress, { update: { progress: 20 } })
})

t.test('progress waits until the log was read', async (t) => {
  const log = new FakeLog()
  const { feed, deliver, heard } = recordFeed(t, log)
  const room = feed.open(1)
  deliver([log.commit(1, [], 10)])
  t.same(heard(), [])
  room.absorb(log.page(1))
  t.same(heard(), ['10%'])
})

t.test('progress that never came is found in the log', async (t) => {
  const { feed, heard, progress } = openRoom(t)
  progress(10)
  progress(70)
  feed.repair()
  await waitFor('the room hears it', () => heard().length > 0)
  t.same(heard(), ['70%'])
})
