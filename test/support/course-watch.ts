/**
 * A socket that follows a course as a plain client would: the list replaces what it knew, a status counts when its
 * version is not lower. It keeps the account of what it heard.
 */
import type { Test } from 'tap'
import type { CourseChapter, CourseCompleted, CourseCounts, JoinedCourse } from '../../src/contract/course.js'
import { JOB_KINDS } from '../../src/contract/job.js'
import { connectSocket, finish, post, type RecordingSocket, request } from './client.js'
import { waitFor } from './condition.js'

export interface CourseWatcher {
  client: RecordingSocket
  /** In order of their ids. */
  chapters(): CourseChapter[]
  counts(): Partial<CourseCounts>
  lists: JoinedCourse[]
  statuses: { at: number; chapter: CourseChapter }[]
  completions: CourseCompleted[]
  /** Statuses that came after a newer one of their chapter. */
  outOfOrder: number
}

export async function watchCourse(
  t: Test,
  url: string,
  courseId: number,
  options: Parameters<typeof connectSocket>[2] = {},
): Promise<CourseWatcher> {
  const client = await connectSocket(t, url, options)
  const known = new Map<number, CourseChapter>()
  const watcher: CourseWatcher = {
    client,
    chapters: () => [...known.values()].sort((one, other) => one.chapter_id - other.chapter_id),
    counts() {
      const counts: Partial<CourseCounts> = {}
      for (const { status } of known.values()) counts[status] = (counts[status] ?? 0) + 1
      return counts
    },
    lists: [],
    statuses: [],
    completions: [],
    outOfOrder: 0,
  }
  client.socket.on('joined_course', (joined: JoinedCourse) => {
    if (joined.course_id !== courseId) return
    watcher.lists.push(joined)
    known.clear()
    for (const chapter of joined.chapters) known.set(chapter.chapter_id, chapter)
  })
  client.socket.on('chapter_status', (chapter: CourseChapter) => {
    if (chapter.course_id !== courseId) return
    watcher.statuses.push({ at: performance.now(), chapter })
    const before = known.get(chapter.chapter_id)
    if (before !== undefined && before.version > chapter.version) watcher.outOfOrder += 1
    else known.set(chapter.chapter_id, chapter)
  })
  client.socket.on('course_completed', (completed: CourseCompleted) => {
    if (completed.course_id === courseId) watcher.completions.push(completed)
  })
  const answer = await client.ask('join_course', { course_id: courseId })
  if (!answer.ok) throw new Error(`the course was not joined: ${JSON.stringify(answer)}`)
  return watcher
}

/** Makes chapters of a course; gives their ids, in order. */
export async function createChapters(
  url: string,
  courseId: number,
  count: number,
  fields: object = {},
): Promise<number[]> {
  const chapters = Array.from({ length: count }, (_, n) => ({ title: `Chapter ${n + 1}` }))
  const { status, body } = await post(`${url}/v1/course/${courseId}/chapters`, {
    owner_id: 1,
    chapters,
    ...fields,
  })
  if (status !== 201) throw new Error(`${status}: ${JSON.stringify(body)}`)
  return body.chapters.map(({ chapter_id }: { chapter_id: number }) => chapter_id)
}

/** Fails every part of a chapter for good, once its jobs were sent: a failure that names no work is of one that was. */
export async function failAll(url: string, chapterId: number): Promise<void> {
  for (const kind of JOB_KINDS)
    await waitFor(`${kind} of chapter ${chapterId} fails`, async () => {
      const { body } = await post(`${url}/v1/chapter/${chapterId}/${kind}-fail`, {
        error: 'no',
        retryable: false,
      })
      return body.status === 'success'
    })
}

/** What a watcher must know at the end: what the database says. Its versions may be older where nothing else changed. */
export async function waitUntilSame(
  url: string,
  courseId: number,
  watchers: CourseWatcher[],
  timeoutMs = 20_000,
) {
  const strip = (chapters: CourseChapter[]) =>
    chapters.map(({ version: _version, updated_at: _at, ...rest }) => JSON.stringify(rest))
  await waitFor(
    'everyone knows of the course what the database knows',
    async () => {
      const { body } = await request(`${url}/v1/course/${courseId}`)
      const expected = strip(body.chapters)
      for (const watcher of watchers) {
        const actual = strip(watcher.chapters())
        const wrong = expected.findIndex((chapter, index) => chapter !== actual[index])
        if (wrong !== -1 || actual.length !== expected.length)
          throw new Error(`expected ${expected[wrong]}, one knows ${actual[wrong]}`)
      }
      return true
    },
    { timeoutMs, everyMs: 50 },
  )
}

export async function allCompleted(watchers: CourseWatcher[], times: number) {
  await waitFor(
    `everyone hears that the course is done (${times})`,
    () => watchers.every(({ completions }) => completions.length >= times),
    { timeoutMs: 60_000, everyMs: 50 },
  )
}

/** Every result on the next node; the first chapter fails and the second is cancelled, unless they are `whole`. */
export async function writeAll(urls: string[], ids: number[], whole: number[] = []) {
  let turn = 0
  const next = () => urls[turn++ % urls.length] ?? ''
  const write = async (id: number, index: number) => {
    if (id === 0) return
    const isWhole = whole.includes(id)
    if (index === 0 && !isWhole) await failAll(next(), id)
    else if (index === 1 && !isWhole) await post(`${next()}/v1/chapter/${id}/cancel`)
    else
      for (const kind of JOB_KINDS) {
        await post(`${next()}/v1/chapter/${id}/progress`, { kind, progress: 50, message: '' })
        await finish(next(), id, kind)
      }
  }
  const queue = [...ids.entries()]
  const worker = async () => {
    for (let entry = queue.shift(); entry !== undefined; entry = queue.shift())
      await write(entry[1], entry[0])
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}
