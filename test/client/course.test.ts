/**
 * What the client package promises of courses, against the real server; the React hook also in a render on a server.
 */
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t, { type Test } from 'tap'
import {
  type Chapters,
  type ClientToServerEvents,
  ClosedError,
  type ConnectOptions,
  type CourseSnapshot,
  type CourseWatch,
  connectChapters,
  RefusedError,
  type ServerToClientEvents,
} from '../../src/client/index.js'
import { ChaptersProvider, useCourse } from '../../src/client/react.js'
import { JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { tcpProxy } from '../support/tcp-proxy.js'

const KINDS = ['concept', 'exercise', 'quiz'] as const
const titles = (...all: string[]) => ({ owner_id: 1, chapters: all.map((title) => ({ title })) })

function client(t: Test, url: string, options: ConnectOptions = {}): Chapters {
  const chapters = connectChapters(url, options)
  t.teardown(() => chapters.close())
  return chapters
}

/** Every snapshot that was shown. */
function shown(watch: CourseWatch) {
  const snapshots: CourseSnapshot[] = []
  const stop = watch.subscribe(() => snapshots.push(watch.snapshot))
  return { snapshots, stop }
}

t.test('a course is one list that stays up to date, with its numbers', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = client(t, url)
  const made = await chapters.createAll(7, titles('one', 'two'))
  t.equal(made.course_id, 7)
  const [one, two] = made.chapters.map(({ chapter_id }) => chapter_id)
  const watch = chapters.watchCourse(7)
  t.match(watch.snapshot, { course_id: 7, connection: 'connecting', is_known: false, chapters: [] })
  const statuses: number[] = []
  const ends: number[] = []
  watch.on('chapter_status', ({ chapter_id }) => statuses.push(chapter_id))
  watch.on('course_completed', ({ counts }) => ends.push(counts.completed))
  const { snapshots } = shown(watch)
  await waitFor('the list', () => watch.snapshot.is_known)
  t.match(watch.snapshot, {
    connection: 'live',
    counts: { processing: 2 },
    completed: false,
    chapters: [{ chapter_id: one, title: 'one' }, { chapter_id: two }],
  })
  const { chapter_id: three } = await chapters.create({ course_id: 7, owner_id: 1, title: 'three' })
  await waitFor('one made later', () => watch.snapshot.chapters.length === 3)
  t.same(
    watch.snapshot.chapters.map(({ chapter_id }) => chapter_id),
    [one, two, three],
  )
  for (const id of [one, two, three]) for (const kind of KINDS) await finish(url, id ?? 0, kind)
  await waitFor('the end', () => ends.length === 1)
  t.match(watch.snapshot, { completed: true, progress: 100, counts: { completed: 3, processing: 0 } })
  t.same(ends, [3])
  t.ok(statuses.includes(three))
  t.equal(new Set(snapshots).size, snapshots.length, 'a new object each time that something changed')
  const { snapshot } = watch
  t.equal(snapshot, watch.snapshot, 'and the same until then')
  t.match(await chapters.course(7, { limit: 2 }), { next: two, counts: { completed: 3 } })
})

t.test('after a lost connection the list is replaced, and nothing is asked of the application', async (t) => {
  const { url } = await buildTestApp(t)
  const proxy = await tcpProxy(t, { host: '127.0.0.1', port: Number(new URL(url).port) })
  const direct = client(t, url)
  const chapters = client(t, `http://127.0.0.1:${proxy.port}`)
  const made = await direct.createAll(1, titles('one'))
  const watch = chapters.watchCourse(1)
  const { snapshots } = shown(watch)
  await waitFor('the list', () => watch.snapshot.connection === 'live')
  proxy.cut()
  await waitFor('it is lost', () => watch.snapshot.connection === 'reconnecting')
  t.equal(watch.snapshot.chapters.length, 1, 'what is known stays')
  await direct.createAll(1, titles('two'))
  await post(`${url}/v1/chapter/${made.chapters[0]?.chapter_id}/cancel`)
  proxy.resume()
  await waitFor('it is as it should be', () => watch.snapshot.connection === 'live', { timeoutMs: 30_000 })
  t.match(watch.snapshot, { counts: { processing: 1, cancelled: 1 }, chapters: [{}, { title: 'two' }] })
  t.ok(snapshots.length >= 3)
})

t.test('a refusal is an error of the snapshot, and closing ends it', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const chapters = client(t, url, { token: await signToken({ courses: [8] }) })
  const refused = chapters.watchCourse(7)
  refused.subscribe(() => {})
  await waitFor('it is refused', () => refused.snapshot.error !== null)
  t.match(refused.snapshot, { connection: 'closed', error: { code: 'forbidden' } })
  t.ok(refused.snapshot.error instanceof RefusedError)
  const watch = chapters.watchCourse(8)
  watch.subscribe(() => {})
  await waitFor('the other one', () => watch.snapshot.connection === 'live')
  await t.rejects(chapters.createAll(8, titles('x')), { code: 'forbidden' })
  chapters.close()
  t.ok(watch.snapshot.error instanceof ClosedError)
  t.throws(() => chapters.watchCourse(8).subscribe(() => {}), ClosedError)
})

t.test('a course that nobody follows any more is left, and joined again when somebody does', async (t) => {
  const { app, url } = await buildTestApp(t)
  const members = () => app.io.sockets.adapter.rooms.get('course_1')?.size ?? 0
  const chapters = client(t, url)
  const watch = chapters.watchCourse(1)
  const stops = [watch.subscribe(() => {}), chapters.watchCourse(1).subscribe(() => {})]
  await waitFor('it is joined', () => watch.snapshot.connection === 'live')
  t.equal(members(), 1, 'once for both')
  const stop = new AbortController()
  watch.subscribe(() => {}, { signal: stop.signal })
  for (const end of stops) end()
  stop.abort()
  await waitFor('it is left', () => members() === 0)
  t.equal(watch.snapshot.connection, 'closed')
  watch.subscribe(() => {})
  await waitFor('it is joined again', () => members() === 1)
})

t.test('a component renders on a server what is known before anything was asked', async (t) => {
  const chapters = client(t, 'http://127.0.0.1:9')
  const Course = ({ id }: { id: number | null }) => {
    const course = useCourse(id)
    return createElement(
      'p',
      null,
      course === null ? 'none' : `${course.connection} ${course.chapters.length}`,
    )
  }
  const render = (id: number | null) =>
    renderToString(createElement(ChaptersProvider, { chapters }, createElement(Course, { id })))
  t.equal(render(1), '<p>connecting 0</p>')
  t.equal(render(null), '<p>none</p>')
})

t.test('a program that uses the types of courses is told of a wrong name when it is compiled', async (t) => {
  const use = (on: ServerToClientEvents, emit: ClientToServerEvents, watch: CourseWatch) => {
    emit.join_course({ course_id: 1 })
    emit.leave_course({ course_id: 1 }, (answer) => answer.ok && answer.course_id)
    // @ts-expect-error a course has no cursor
    emit.join_course({ course_id: 1, after_seq: 5 })
    on.course_completed({
      course_id: 1,
      counts: { processing: 0, completed: 1, failed: 0, cancelled: 0 },
      message: '',
    })
    // @ts-expect-error there is no such event
    watch.on('completed', () => {})
    watch.on('chapter_status', ({ kinds }) => kinds.quiz)
    // @ts-expect-error nobody changes what is shown
    watch.snapshot.chapters.push()
  }
  t.type(use, 'function')
})
