/**
 * One course that is open on this node, or one owner's chapters of it: the latest status of each chapter, its members,
 * and what they are told.
 *
 * - Statuses come in any order and as often as they like; of each chapter the newest counts, and one that says nothing
 *   new is not told. Members hear of a chapter at most four times a second, the last one always.
 * - `course_completed` is told once each time that nothing is processing any more, after the statuses that made it so.
 *   A status is told early for it: with the four a second that makes at most five.
 */
import { createThrottle } from '../async/throttle.js'
import type { CourseChapter, CourseCompleted, CourseCounts, JoinedCourse } from '../contract/course.js'
import type { Locale } from '../contract/scalar.js'
import {
  type CourseEntry,
  completedMessage,
  courseProgress,
  isNewer,
  noCounts,
  queuedJobs,
  saysSame,
} from '../domain/course.js'
import type { CourseNews, CourseQuestion, CourseScope } from '../store/courses.js'

const STATUS_EVERY_MS = 250

/** How a course's members on this node are reached: all sockets together, each stream by itself. */
export interface CourseListener {
  joined(joined: JoinedCourse): void
  status(chapter: CourseChapter): void
  completed(completed: CourseCompleted): void
}

/** The sockets of the room; `except` are ids of sockets that joined too late for it. */
export type CourseSockets = Omit<CourseListener, 'completed'> & {
  completed(completed: CourseCompleted, except: string[]): void
}

/** A moment at which nothing was processing any more. Later members are not told of it. */
export interface Ending {
  completed: CourseCompleted
  /** Chapters that were known then. */
  known: ReadonlySet<number>
  late: Set<CourseListener | string>
}

export class OpenCourse {
  readonly scope: CourseScope
  /** Resolves when what other nodes commit from now on arrives here, or cannot be waited for. */
  readonly subscribed: Promise<void>
  shares = 0
  /** When it was last compared with the database, by `performance.now()`; undefined until it was read. */
  comparedAt: number | undefined
  private readonly sockets: CourseSockets
  private readonly onEnding: (ending: Ending) => void
  private readonly listeners = new Set<CourseListener>()
  private readonly entries = new Map<number, CourseEntry>()
  private readonly counts: CourseCounts = noCounts()
  private readonly endings = new Set<Ending>()
  private readonly throttle = createThrottle(STATUS_EVERY_MS, (chapterId: number) => this.tell(chapterId))
  /** Something has been processing since `course_completed` was last due. */
  private isRunning = false

  constructor(options: {
    scope: CourseScope
    subscribed: Promise<void>
    sockets: CourseSockets
    /** Call `complete` when it is true, else `dismiss`. */
    onEnding: (ending: Ending) => void
  }) {
    this.scope = options.scope
    this.subscribed = options.subscribed
    this.sockets = options.sockets
    this.onEnding = options.onEnding
  }

  /** What the database needs to know to tell what is new. */
  get question(): CourseQuestion {
    const known = [...this.entries.values()].map(({ chapter }) => ({
      id: chapter.chapter_id,
      version: chapter.version,
      isQueued: queuedJobs(chapter) > 0,
    }))
    return { ...this.scope, known }
  }

  get isProcessing(): boolean {
    return this.counts.processing > 0
  }

  get processing(): number[] {
    return [...this.entries.values()].flatMap(({ chapter }) =>
      chapter.status === 'processing' ? [chapter.chapter_id] : [],
    )
  }

  snapshot(): JoinedCourse {
    const chapters = [...this.entries.values()]
      .map(({ chapter }) => chapter)
      .sort((one, other) => one.chapter_id - other.chapter_id)
    const sum = chapters.reduce((total, { progress }) => total + progress, 0)
    return {
      course_id: this.scope.courseId,
      counts: { ...this.counts },
      progress: courseProgress(sum, chapters.length),
      chapters,
    }
  }

  listen(listener: CourseListener): void {
    this.listeners.add(listener)
    this.admit(listener)
  }

  unlisten(listener: CourseListener): void {
    this.listeners.delete(listener)
  }

  /** A member that is here from now on: a listener, or a socket's id. */
  admit(member: CourseListener | string): void {
    for (const { late } of this.endings) late.add(member)
  }

  /** Takes what was read. @returns how many statuses had not come by themselves */
  absorb({ entries, gone }: CourseNews): number {
    const isFirst = this.comparedAt === undefined
    this.comparedAt = performance.now()
    const removed = gone.filter((chapterId) => this.remove(chapterId))
    if (isFirst) {
      for (const entry of entries) this.put(entry)
      this.isRunning = this.isProcessing
      return 0
    }
    const { told, locale } = this.note(entries)
    if (removed.length > 0) this.tellAll()
    this.endRun(locale)
    return told + removed.length
  }

  /** Takes statuses of one moment: what they mean together is told, not what some of them would mean alone. */
  take(entries: CourseEntry[]): void {
    this.endRun(this.note(entries).locale)
  }

  private note(entries: CourseEntry[]): { told: number; locale: Locale | undefined } {
    let told = 0
    let locale: Locale | undefined
    for (const entry of entries) {
      const { chapter } = entry
      const known = this.put(entry)
      if (known === 'newer' || this.comparedAt === undefined) continue
      // A chapter begins as processing: one that is first seen when it has ended ran meanwhile.
      const hasRun = known === undefined || entry.hasEndedRun === true
      if (chapter.status === 'processing' || hasRun) this.isRunning = true
      locale = entry.locale
      if (known !== undefined && saysSame(chapter, known.chapter)) continue
      told += 1
      this.throttle.offer(chapter.chapter_id)
    }
    return { told, locale }
  }

  /** Chapters that were deleted. */
  forget(chapterIds: number[]): void {
    // What is read for the first time is read without them.
    if (this.comparedAt === undefined) return
    const removed = chapterIds.filter((chapterId) => this.remove(chapterId))
    if (removed.length > 0) this.tellAll()
    this.endRun(undefined)
  }

  complete(ending: Ending): void {
    const { completed, late } = ending
    this.dismiss(ending)
    this.sockets.completed(
      completed,
      [...late].filter((member) => typeof member === 'string'),
    )
    for (const listener of this.listeners) if (!late.has(listener)) listener.completed(completed)
  }

  dismiss(ending: Ending): void {
    this.endings.delete(ending)
  }

  stop(): void {
    this.throttle.stop()
    this.listeners.clear()
  }

  /** @returns what was known before, or that what is known is newer */
  private put(entry: CourseEntry): CourseEntry | 'newer' | undefined {
    const { chapter_id: chapterId, status } = entry.chapter
    const known = this.entries.get(chapterId)
    if (!isNewer(entry.chapter, known?.chapter)) return 'newer'
    this.entries.set(chapterId, entry)
    if (known !== undefined) this.counts[known.chapter.status] -= 1
    this.counts[status] += 1
    return known
  }

  private remove(chapterId: number): boolean {
    const known = this.entries.get(chapterId)
    if (known === undefined) return false
    this.counts[known.chapter.status] -= 1
    return this.entries.delete(chapterId)
  }

  private endRun(locale: Locale | undefined): void {
    if (!this.isRunning || this.isProcessing || this.comparedAt === undefined) return
    this.isRunning = false
    this.throttle.flush()
    const anyLocale = locale ?? [...this.entries.values()].at(-1)?.locale ?? 'ko'
    const ending: Ending = {
      completed: {
        course_id: this.scope.courseId,
        counts: { ...this.counts },
        message: completedMessage(anyLocale),
      },
      known: new Set(this.entries.keys()),
      late: new Set(),
    }
    this.endings.add(ending)
    this.onEnding(ending)
  }

  /** A list that replaces the one before: that a chapter is gone cannot be said in another way. */
  private tellAll(): void {
    const joined = this.snapshot()
    this.sockets.joined(joined)
    for (const listener of this.listeners) listener.joined(joined)
  }

  private tell(chapterId: number): void {
    const entry = this.entries.get(chapterId)
    if (entry === undefined) return
    this.sockets.status(entry.chapter)
    for (const listener of this.listeners) listener.status(entry.chapter)
  }
}
