import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { CourseChapter, CourseCompleted, JoinedCourse } from '../../src/contract/course.js'
import type { ChapterState } from '../../src/domain/chapter.js'
import { type CourseEntry, courseEntryOf } from '../../src/domain/course.js'
import { type CourseFeed, type CourseShare, createCourseFeed } from '../../src/feed/course-feed.js'
import type { CourseStore } from '../../src/store/courses.js'
import { COMPLETED, chapterWith, FAILED, QUEUED } from '../support/chapters.js'
import { waitFor } from '../support/condition.js'
import { seeded } from '../support/random.js'

const COURSE = 5
const DONE = { concept: COMPLETED, exercise: COMPLETED, quiz: COMPLETED }

function state(id: number, version: number, fields: Partial<ChapterState> = {}, jobs = {}): ChapterState {
  return chapterWith(jobs, { id, version, courseId: COURSE, ...fields })
}
const running = (id: number, version: number, progress = 0) => state(id, version, { progress })
const completed = (id: number, version: number) =>
  state(id, version, { status: 'completed', progress: 100, completedAt: 1 }, DONE)

t.test(
  'the end of a course is told at once where there is one node, and asked for where there are more',
  async (t) => {
    const alone = member(t, createFeed(t, world(), undefined))
    await alone.joined
    alone.commit(running(1, 1))
    alone.commit(completed(1, 2))
    t.equal(alone.completions.length, 1, 'at once')

    const shared = world()
    const node = member(t, createFeed(t, shared, shared.node(), { repairMs: 600_000 }))
    await node.joined
    node.commit(running(1, 1))
    const reads = shared.reads
    node.commit(completed(1, 2))
    t.equal(node.completions.length, 0)
    await waitFor('it is told', () => node.completions.length === 1)
    t.equal(shared.reads, reads + 1, 'for one query')
  },
)

t.test('a deleted chapter leaves the list at once, on every node, and may end the course', async (t) => {
  const shared = world()
  const [hereBus, thereBus] = [shared.node(), shared.node()]
  const here = member(t, createFeed(t, shared, hereBus, { repairMs: 600_000 }))
  const there = member(t, createFeed(t, shared, thereBus, { repairMs: 600_000 }))
  await Promise.all([here.joined, there.joined])
  hereBus.elsewhere.add(COURSE)
  hereBus.publishCourses = (entries) => entries.forEach(thereBus.receive)
  here.commit(running(1, 1))
  here.commit(completed(2, 2))
  await waitFor('both chapters to be known', () => there.known.size === 2)
  here.remove(running(1, 1))
  for (const each of [here, there]) {
    await waitFor('the list without it', () => each.lists.at(-1)?.chapters.length === 1)
    await waitFor('the end of what is left', () => each.completions.length === 1)
    t.match(each.lists.at(-1)?.counts, { processing: 0, completed: 1 })
  }
})

t.test('a join costs one query, and joins that come together share one', async (t) => {
  const shared = world()
  for (let id = 1; id <= 500; id++) shared.store(running(id, 1))
  const feed = createFeed(t, shared, undefined, { repairMs: 600_000 })
  const first = member(t, feed)
  await first.joined
  t.equal(shared.reads, 1)
  t.equal(first.known.size, 500)
  const others = Array.from({ length: 100 }, () => member(t, feed))
  await Promise.all(others.map(({ joined }) => joined))
  t.ok(others.every(({ known }) => known.size === 500))
  t.ok(shared.reads <= 5, `${shared.reads} queries for 101 joins`)
})

t.test('a chapter that another node made and that is not known here yet holds the end back', async (t) => {
  const shared = world()
  const bus = shared.node()
  const node = member(t, createFeed(t, shared, bus))
  await node.joined
  node.commit(running(1, 1))
  // Committed elsewhere; the message about it is lost.
  shared.store(running(2, 1))
  node.commit(completed(1, 2))
  await waitFor('it is found', () => node.known.size === 2)
  t.same(node.completions, [])
  shared.store(completed(2, 2))
  bus.receive(courseEntryOf(completed(2, 2)))
  await waitFor('the end', () => node.completions.length === 1)
  t.match(node.completions, [{ counts: { processing: 0, completed: 2 } }])
})

t.test('whoever joins while the end is being asked for is not told of it', async (t) => {
  const shared = world()
  const feed = createFeed(t, shared, shared.node())
  const first = member(t, feed)
  await first.joined
  first.commit(running(1, 1))
  const open = shared.holdReads()
  first.commit(completed(1, 2))
  const late = member(t, feed)
  open()
  await late.joined
  await waitFor('the first hears', () => first.completions.length === 1)
  t.match(late.lists, [{ counts: { completed: 1 } }])
  t.same(late.completions, [])
})

t.test('the end of a run is told also where its beginning comes later, or never', async (t) => {
  const shared = world()
  const bus = shared.node()
  const node = member(t, createFeed(t, shared, bus))
  const failed = (version: number) => state(1, version, { status: 'failed' }, { concept: FAILED })
  shared.store(failed(5))
  await node.joined
  shared.store(failed(9))
  bus.receive(courseEntryOf(failed(9), running(1, 8)))
  await waitFor('it is told', () => node.completions.length === 1)
  bus.receive(courseEntryOf(running(1, 8)))
  bus.receive(courseEntryOf(failed(9), running(1, 8)))
  shared.store(state(1, 10, { status: 'completed', progress: 100 }, DONE))
  bus.receive(courseEntryOf(state(1, 10, { status: 'completed', progress: 100 }, DONE), failed(9)))
  await waitFor('a late result is told', () => node.known.get(1)?.status === 'completed')
  t.equal(node.completions.length, 1, 'which ends nothing')
})

t.test('what says nothing new is not told, whatever its version', async (t) => {
  const shared = world()
  const bus = shared.node()
  const node = member(t, createFeed(t, shared, bus))
  await node.joined
  node.commit(running(1, 1, 5))
  node.commit(running(1, 2, 5), running(1, 1, 5))
  bus.receive(courseEntryOf(running(1, 3, 5)))
  bus.receive(courseEntryOf(running(1, 1, 5)))
  bus.receive(courseEntryOf({ ...running(2, 1), courseId: 6 }))
  t.equal(node.statuses.length, 1)
  bus.receive(courseEntryOf(running(1, 4, 6)))
  await waitFor('a marker', () => node.statuses.length === 2)
  t.match(node.statuses.at(-1), { version: 4, progress: 6 })
})

t.test(
  'other nodes are told of what changes in courses that they have open, and of nothing else',
  async (t) => {
    const shared = world()
    const bus = shared.node()
    const feed = createFeed(t, shared, bus)
    feed.publish([{ before: null, state: running(1, 1) }])
    t.same(bus.sent, [], 'nobody has it open')
    bus.elsewhere.add(COURSE)
    const states = Array.from({ length: 50 }, (_, n) => running(1, n + 2, n))
    for (const [n, after] of states.entries())
      feed.publish([{ before: states[n - 1] ?? running(1, 1), state: after }])
    feed.publish([{ before: running(2, 1), state: running(2, 2) }])
    t.equal(bus.sent.length, 1, 'the first at once')
    await waitFor('the last', () => bus.sent.length === 2)
    t.match(bus.sent.at(-1), { chapter: { version: 51, progress: 49 } })
    feed.publish([{ before: running(1, 51, 49), state: completed(1, 52) }])
    t.match(bus.sent.at(-1), { chapter: { status: 'completed' } }, 'its own status is not kept waiting')
  },
)

t.test(
  'a chapter that is gone is gone from the list, and may have been the last that was processing',
  async (t) => {
    const shared = world()
    const node = member(t, createFeed(t, shared, undefined, { compareMs: 10 }))
    await node.joined
    node.commit(running(1, 1))
    node.commit(running(2, 1))
    node.commit(completed(1, 2))
    shared.remove(2)
    await waitFor('the list is told again', () => node.lists.length === 2)
    t.match(node.lists.at(-1), { chapters: [{ chapter_id: 1 }], counts: { completed: 1, processing: 0 } })
    t.equal(node.completions.length, 1)
  },
)

t.test('a course that is too large is refused, and leaves nothing open', async (t) => {
  const shared = world()
  for (let id = 1; id <= 5001; id++) shared.store(running(id, 1))
  const bus = shared.node()
  const feed = createFeed(t, shared, bus)
  await t.rejects(member(t, feed).joined, { code: 'course_too_large' })
  t.equal(feed.courses, 0)
  t.same([...bus.open], [])
})

t.test('a database that is away delays what is missed, and loses nothing', async (t) => {
  const shared = world()
  const bus = shared.node()
  const node = member(t, createFeed(t, shared, bus))
  await node.joined
  shared.store(completed(1, 3))
  shared.isAway = true
  bus.missed()
  await waitFor('it was asked', () => shared.failed > 0)
  shared.isAway = false
  await waitFor('it is found', () => node.known.get(1)?.status === 'completed')
  await waitFor('it ran and ended meanwhile', () => node.completions.length === 1)
})

t.test(
  'over a bus that loses, repeats, delays and disorders, every member ends with what is stored',
  async (t) => {
    const random = seeded(7)
    const shared = world()
    const buses = [shared.node(), shared.node(), shared.node()]
    for (const bus of buses) bus.elsewhere.add(COURSE)
    const feeds = buses.map((bus) => createFeed(t, shared, bus, { compareMs: 60, repairMs: 20 }))
    const members = feeds.map((feed) => member(t, feed))
    await Promise.all(members.map(({ joined }) => joined))
    const states = new Map<number, ChapterState>()
    for (let step = 0; step < 600; step++) {
      const id = 1 + Math.floor(random() * 12)
      const before = states.get(id) ?? null
      const version = (before?.version ?? 0) + 1
      const next =
        before === null || before.status !== 'processing'
          ? running(id, version)
          : random() < 0.3
            ? state(id, version, { status: 'failed' }, { concept: FAILED })
            : state(
                id,
                version,
                { progress: Math.min(99, before.progress + 5) },
                { quiz: random() < 0.5 ? QUEUED : {} },
              )
      states.set(id, next)
      const at = Math.floor(random() * 3)
      members[at]?.commit(next, before)
      for (const [index, bus] of buses.entries()) {
        if (index === at || random() < 0.3) continue
        const copies = random() < 0.2 ? 2 : 1
        for (let copy = 0; copy < copies; copy++)
          setTimeout(() => bus.receive(courseEntryOf(next)), random() * 30)
      }
      if (step % 20 === 0) await delay(2)
    }
    for (const [id, before] of states) {
      const end = completed(id, before.version + 1)
      states.set(id, end)
      members[id % 3]?.commit(end, before)
    }
    await waitFor('everyone knows the end', () =>
      members.every(({ known }) =>
        [...states.values()].every(({ id, version }) => known.get(id)?.version === version),
      ),
    )
    await waitFor('and hears of it', () =>
      members.every(({ completions }) => completions.at(-1)?.counts.completed === 12),
    )
    for (const one of members) t.equal(one.outOfOrder, 0, 'no status after a newer one')
  },
)

/** What is stored, and the nodes that ask for it. */
function world() {
  const states = new Map<number, ChapterState>()
  let held: Promise<void> | undefined
  const self = {
    reads: 0,
    failed: 0,
    isAway: false,
    store: (state: ChapterState) => void states.set(state.id, state),
    remove: (id: number) => void states.delete(id),
    holdReads() {
      let open = () => {}
      held = new Promise<void>((resolve) => {
        open = resolve
      })
      return () => {
        held = undefined
        open()
      }
    },
    database: {
      async readNews(questions) {
        self.reads += 1
        await held
        await delay(1)
        if (self.isAway) {
          self.failed += 1
          throw new Error('the database is away')
        }
        return questions.map(({ courseId, known }) => {
          const versions = new Map(known.map(({ id, version, isQueued }) => [id, isQueued ? -1 : version]))
          const of = [...states.values()].filter((state) => state.courseId === courseId)
          return {
            entries: of
              .filter(({ id, version }) => versions.get(id) !== version)
              .map((state) => courseEntryOf(state)),
            gone: known.flatMap(({ id }) => (states.has(id) ? [] : [id])),
            isTooLarge: of.length > 5000,
          }
        })
      },
      readEntries: async (ids) =>
        ids.flatMap((id) => states.get(id) ?? []).map((state) => courseEntryOf(state)),
    } satisfies Pick<CourseStore, 'readNews' | 'readEntries'>,
    node() {
      let listener = { onEntry: (_entry: CourseEntry) => {}, onMissed: (_id?: number) => {} }
      const bus = {
        sent: [] as CourseEntry[],
        elsewhere: new Set<number>(),
        open: new Set<number>(),
        publishCourses: (entries: CourseEntry[]) => void bus.sent.push(...entries),
        async openCourse(id: number) {
          bus.open.add(id)
        },
        closeCourse: (id: number) => void bus.open.delete(id),
        hasCourse: (id: number) => bus.elsewhere.has(id),
        listenToCourses: (added: typeof listener) => {
          listener = added
        },
        isCourseComplete: true,
        receive: (entry: CourseEntry) => listener.onEntry(entry),
        missed: () => listener.onMissed(),
      }
      return bus
    },
  }
  return self
}
type World = ReturnType<typeof world>

interface TestFeed extends CourseFeed {
  world: World
}

function createFeed(
  t: Test,
  world: World,
  bus: ReturnType<World['node']> | undefined,
  times: { compareMs?: number; repairMs?: number } = {},
): TestFeed {
  const feed = createCourseFeed({
    store: world.database,
    bus,
    toRoom() {},
    repairMs: 10,
    compareMs: 600_000,
    onError() {},
    ...times,
  })
  t.teardown(() => feed.close())
  // Not spread: some of it is read when it is asked for.
  return Object.assign(feed, { world })
}

/** A stream in the course; what is committed on its node. */
function member(t: Test, feed: TestFeed) {
  let share: CourseShare | undefined
  const self = {
    lists: [] as JoinedCourse[],
    statuses: [] as CourseChapter[],
    completions: [] as CourseCompleted[],
    known: new Map<number, CourseChapter>(),
    outOfOrder: 0,
    joined: feed.join({
      scope: { courseId: COURSE, ownerId: null },
      isWanted: () => true,
      onJoined(joined, added) {
        share = added
        takeList(joined)
        share.listen({
          joined: takeList,
          status(chapter) {
            self.statuses.push(chapter)
            if ((self.known.get(chapter.chapter_id)?.version ?? 0) > chapter.version) self.outOfOrder += 1
            self.known.set(chapter.chapter_id, chapter)
          },
          completed: (completed) => self.completions.push(completed),
        })
      },
    }),
    remove(state: ChapterState) {
      feed.world.remove(state.id)
      feed.publish([{ before: state, state, isDeleted: true }])
    },
    commit(state: ChapterState, before: ChapterState | null = null) {
      feed.world.store(state)
      feed.publish([{ before, state }])
    },
  }
  function takeList(joined: JoinedCourse) {
    self.lists.push(joined)
    self.known = new Map(joined.chapters.map((chapter) => [chapter.chapter_id, chapter]))
  }
  self.joined.catch(() => {})
  t.teardown(() => share?.close())
  return self
}
