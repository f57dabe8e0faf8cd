/**
 * One watched course: its chapters, and who follows them. It is in the link's room while somebody follows it; every
 * join begins with the whole list, which replaces what was known.
 */
import type { CourseChapter, CourseCompleted, CourseCounts, JoinedCourse, Refusal } from './contract.js'
import { type ChaptercastError, ClosedError, RefusedError } from './errors.js'
import type { Link, LinkCourse } from './link.js'
import type { ChapterConnection } from './snapshot.js'
import { onAbort } from './wait.js'
import { callFrom, type FollowOptions } from './watch.js'

/** What is known of a course, as one immutable value. */
export interface CourseSnapshot {
  readonly course_id: number
  /** As of a chapter: `live` while the list is kept up to date. */
  readonly connection: ChapterConnection
  /** Whether the list came at least once. */
  readonly is_known: boolean
  /** In the order of their ids. */
  readonly chapters: readonly CourseChapter[]
  readonly counts: CourseCounts
  /** Mean over the chapters, 0 to 100. */
  readonly progress: number
  /** It has chapters, and none of them is being generated. */
  readonly completed: boolean
  /** Why it cannot be watched. */
  readonly error: ChaptercastError | null
}

/** What `on` knows. */
export interface CourseListeners {
  /** A chapter was made or changed. */
  chapter_status: CourseChapter
  /** Nothing of it is being generated any more; each time that becomes so. */
  course_completed: CourseCompleted
}

interface Follower {
  changed(): void
  chapter_status?(chapter: CourseChapter): void
  course_completed?(completed: CourseCompleted): void
  /** The room is no more. */
  ended(): void
}

/** How long a course that nobody follows stays in its room: a user interface may come back to it at once. */
const LINGER_MS = 1000

export function newCourseSnapshot(courseId: number): CourseSnapshot {
  return { course_id: courseId, connection: 'connecting', is_known: false, error: null, ...listOf([]) }
}

export class CourseRoom implements LinkCourse {
  readonly courseId: number
  readonly #link: Link
  readonly #disposed: (room: CourseRoom) => void
  readonly #followers = new Set<Follower>()
  #snapshot: CourseSnapshot
  #linger: ReturnType<typeof setTimeout> | undefined
  #isOver = false

  constructor(courseId: number, parts: { link: Link; disposed: (room: CourseRoom) => void }) {
    this.courseId = courseId
    this.#link = parts.link
    this.#disposed = parts.disposed
    this.#snapshot = newCourseSnapshot(courseId)
  }

  get snapshot(): CourseSnapshot {
    return this.#snapshot
  }

  follow(follower: Follower): void {
    clearTimeout(this.#linger)
    this.#followers.add(follower)
    // What is here already, after the caller has what it is given.
    queueMicrotask(() => {
      if (this.#followers.has(follower)) follower.changed()
    })
    this.#link.enter(this)
  }

  unfollow(follower: Follower): void {
    if (!this.#followers.delete(follower) || this.#followers.size > 0 || this.#isOver) return
    clearTimeout(this.#linger)
    this.#linger = setTimeout(() => {
      this.#leave()
      this.#show({ connection: 'closed' })
    }, LINGER_MS)
  }

  /** Ends everybody who follows it. */
  close(): void {
    this.#fail(new ClosedError())
  }

  disconnected(): void {
    if (this.#snapshot.connection === 'live') this.#show({ connection: 'reconnecting' })
  }

  joined({ chapters }: JoinedCourse): void {
    this.#show({ connection: 'live', is_known: true, ...listOf(chapters) })
  }

  refused(refusal: Refusal): void {
    this.#fail(new RefusedError(refusal.code, refusal.message))
  }

  status(chapter: CourseChapter): void {
    const chapters = withChapter(this.#snapshot.chapters, chapter)
    // Before the list came a status says nothing that the list will not say.
    if (chapters === undefined || !this.#snapshot.is_known) return
    this.#show(listOf(chapters))
    for (const follower of [...this.#followers]) follower.chapter_status?.(chapter)
  }

  completed(completed: CourseCompleted): void {
    for (const follower of [...this.#followers]) follower.course_completed?.(completed)
  }

  #show(changes: Partial<CourseSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...changes }
    for (const follower of [...this.#followers]) follower.changed()
  }

  #fail(error: ChaptercastError): void {
    // First: who follows again when told of the end begins anew.
    this.#leave()
    this.#show({ connection: 'closed', error })
    const followers = [...this.#followers]
    this.#followers.clear()
    for (const follower of followers) follower.ended()
  }

  #leave(): void {
    this.#isOver = true
    clearTimeout(this.#linger)
    this.#link.leave(this)
    this.#disposed(this)
  }
}

/** What an application holds of one course. Nothing is asked of the server until it is followed. */
export class CourseWatch {
  readonly courseId: number
  readonly #signal: AbortSignal | undefined
  readonly #open: () => CourseRoom
  readonly #known: () => CourseRoom | undefined
  readonly #unopened: CourseSnapshot
  #room: CourseRoom | undefined

  /** Made by `chapters.watchCourse`. */
  constructor(
    courseId: number,
    { signal }: FollowOptions,
    parts: { open: () => CourseRoom; known: () => CourseRoom | undefined },
  ) {
    this.courseId = courseId
    this.#signal = signal
    this.#open = parts.open
    this.#known = parts.known
    this.#unopened = newCourseSnapshot(courseId)
  }

  /** What is known now, by whatever watch of this course. The same object until something changes. */
  get snapshot(): CourseSnapshot {
    // A watch that was refused shows that, until it is followed again.
    const room = this.#room?.snapshot.error ? this.#room : (this.#known() ?? this.#room)
    return room?.snapshot ?? this.#unopened
  }

  /**
   * Calls `listener` at the beginning and after every change of the snapshot; the course is watched until the returned
   * function is called.
   */
  subscribe(listener: () => void, options: FollowOptions = {}): () => void {
    let seen: CourseSnapshot | undefined
    return this.#follow(options, {}, (snapshot) => {
      if (snapshot === seen) return
      seen = snapshot
      callFrom(listener)
    })
  }

  /** Calls `listener` each time from now on, until the returned function is called. */
  on<Name extends keyof CourseListeners>(
    name: Name,
    listener: (payload: CourseListeners[Name]) => void,
    options: FollowOptions = {},
  ): () => void {
    const call = (payload: CourseListeners[Name]) => callFrom(() => listener(payload))
    return this.#follow(options, { [name]: call }, () => {})
  }

  #follow(
    { signal }: FollowOptions,
    also: Omit<Follower, 'changed' | 'ended'>,
    changed: (snapshot: CourseSnapshot) => void,
  ): () => void {
    const signals = [signal, this.#signal].filter((each) => each !== undefined)
    if (signals.some((each) => each.aborted)) return () => {}
    const room = this.#open()
    this.#room = room
    const follower: Follower = { ...also, changed: () => changed(room.snapshot), ended: () => unlisten() }
    const stop = () => {
      unlisten()
      room.unfollow(follower)
    }
    const unlisten = onAbort(signals, stop)
    room.follow(follower)
    return stop
  }
}

type List = Pick<CourseSnapshot, 'chapters' | 'counts' | 'progress' | 'completed'>

function listOf(chapters: readonly CourseChapter[]): List {
  const counts: CourseCounts = { processing: 0, completed: 0, failed: 0, cancelled: 0 }
  let sum = 0
  for (const { status, progress } of chapters) {
    counts[status] += 1
    sum += progress
  }
  return {
    chapters,
    counts,
    progress: chapters.length === 0 ? 0 : Math.min(100, Math.floor(sum / chapters.length + 1e-6)),
    completed: chapters.length > 0 && counts.processing === 0,
  }
}

/** @returns undefined when a later version is known */
function withChapter(
  chapters: readonly CourseChapter[],
  chapter: CourseChapter,
): readonly CourseChapter[] | undefined {
  const { chapter_id: id, version } = chapter
  const index = chapters.findIndex((other) => other.chapter_id >= id)
  const known = chapters[index]
  if (known?.chapter_id !== id) return chapters.toSpliced(index === -1 ? chapters.length : index, 0, chapter)
  return known.version > version ? undefined : chapters.with(index, chapter)
}
