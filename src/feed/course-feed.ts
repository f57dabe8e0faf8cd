/**
 * Courses that somebody on this node follows: from a commit on any node to the members of each course here.
 *
 * A course is a view: the latest status of each of its chapters, by the chapter's version. Nothing of it is logged.
 *
 * - What is committed here is told here at once, and to the nodes that have the course open (`bus.ts`): a change of a
 *   chapter's status at once, of its progress or its jobs at most five times a second.
 * - Whoever joins costs one query, which gives what this node does not know yet; joins that come while a read is under
 *   way share the next one.
 * - The bus may lose messages. So open courses are compared with the database: soon after they were opened, every ten
 *   seconds, and all of them when messages may have been missed and for as long as they may be.
 * - Before `course_completed` is told on a system of several nodes, the database is asked whether it is true: another
 *   node's new chapter may be known here later than the end of the last one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createBatcher } from '../async/batcher.js'
import { type Repeating, repeat } from '../async/repeat.js'
import { createThrottle } from '../async/throttle.js'
import {
  COURSE_FOLLOWED_MAX,
  type CourseChapter,
  type CourseCompleted,
  type JoinedCourse,
} from '../contract/course.js'
import type { ChapterState } from '../domain/chapter.js'
import { type CourseEntry, chapterStatusOf, courseEntryOf, saysSame } from '../domain/course.js'
import { CourseTooLargeError } from '../errors.js'
import type { CourseNews, CourseScope, CourseStore } from '../store/courses.js'
import type { RememberedRoom } from '../store/sessions.js'
import type { Bus } from './bus.js'
import { type CourseListener, type Ending, OpenCourse } from './open-course.js'

export type { CourseListener } from './open-course.js'

export interface CourseFeed {
  /** What was committed on this node. */
  publish(committed: { before: ChapterState | null; state: ChapterState; isDeleted?: boolean }[]): void
  /** Jobs of these chapters were sent to workers, which no version tells. */
  sent(chapters: ChapterInCourse[]): void
  /**
   * Lets a newcomer in. @returns false when it did not want in any more
   * @throws {CourseTooLargeError} and what the database throws
   */
  join(newcomer: CourseNewcomer): Promise<boolean>
  /** Courses that somebody here follows. */
  readonly courses: number
  /** Statuses that did not come by themselves and were read from the database, since the start. */
  readonly repaired: number
  close(): Promise<void>
}

export interface ChapterInCourse {
  chapterId: number
  courseId: number
}

export interface CourseNewcomer {
  scope: CourseScope
  /** Written with the read: the room of a session. */
  remember?: RememberedRoom | undefined
  isWanted: () => boolean
  /** Runs when it is in, synchronously. The share is the newcomer’s from then on. */
  onJoined: (joined: JoinedCourse, share: CourseShare) => void
}

export interface CourseShare {
  /** A socket that is in the course’s room from now on. */
  admit(socketId: string): void
  /** A listener of this share’s own. */
  listen(listener: CourseListener): void
  /** Gives the share back; may be called again. */
  close(): void
}

export interface CourseFeedOptions {
  store: Pick<CourseStore, 'readNews' | 'readEntries'>
  /** The sockets of this node that are in the room of that scope, except those. */
  toRoom: (
    scope: CourseScope,
    ...event:
      | [name: 'joined_course', payload: JoinedCourse]
      | [name: 'chapter_status', payload: CourseChapter]
      | [name: 'course_completed', payload: CourseCompleted, except: string[]]
  ) => void
  /** undefined: there are no other nodes. */
  bus?: CourseBus | undefined
  repairMs?: number
  /** How often a course is compared with the database when nothing seems to be missed, ms. */
  compareMs?: number
  onError: (error: unknown) => void
}

type CourseBus = Pick<
  Bus,
  'publishCourses' | 'openCourse' | 'closeCourse' | 'hasCourse' | 'listenToCourses' | 'isCourseComplete'
>

/** Least time between two messages about one chapter to other nodes, unless its own status changes. */
const PUBLISH_EVERY_MS = 200
/** Courses that one query compares. */
const COMPARED_TOGETHER = 10
/** How long chapters whose jobs were sent are gathered before they are read, ms. */
const SENT_GATHER_MS = 100
/** Before the database is asked again whether a course has ended, ms. */
const ASK_AGAIN_MS = 1000
const RESOLVED = Promise.resolve()

export function createCourseFeed(options: CourseFeedOptions): CourseFeed {
  const { store, toRoom, bus, onError, repairMs = 1500, compareMs = 10_000 } = options
  const courses = new Map<string, OpenCourse>()
  /** The same: of each course the whole, and what its owners see. */
  const byCourse = new Map<number, Set<OpenCourse>>()
  const sentChapters = new Map<number, ChapterInCourse>()
  let sentTimer: NodeJS.Timeout | undefined
  let isAllWanted = false
  let isClosed = false
  let repaired = 0

  bus?.listenToCourses({
    onEntry: (entry) => deliver([entry]),
    onMissed(courseId) {
      if (courseId === undefined) isAllWanted = true
      else for (const course of byCourse.get(courseId) ?? []) compareSoon(course)
      repairs.soon()
    },
  })

  const ask = createBatcher(
    async (asked: { course: OpenCourse; remember?: RememberedRoom | undefined }[]) => {
      const distinct = [...new Set(asked.map(({ course }) => course))]
      const rooms = asked.flatMap(({ remember }) => remember ?? [])
      const answers = await store.readNews(
        distinct.map((course) => course.question),
        rooms,
      )
      const news = new Map(distinct.map((course, index) => [course, answers[index] as CourseNews]))
      return asked.map(({ course }) => news.get(course) as CourseNews)
    },
  )

  const repairs: Repeating = repeat(
    async () => {
      const isAll = isAllWanted || bus?.isCourseComplete === false
      const dueBefore = performance.now() - compareMs
      const due = [...courses.values()].filter(
        ({ comparedAt }) => comparedAt !== undefined && (isAll || comparedAt < dueBefore),
      )
      isAllWanted = false
      try {
        for (let start = 0; start < due.length; start += COMPARED_TOGETHER)
          await compare(due.slice(start, start + COMPARED_TOGETHER))
      } catch (error) {
        // What was missed is still missed.
        isAllWanted ||= isAll
        throw error
      }
      return false
    },
    repairMs,
    onError,
  )

  async function compare(due: OpenCourse[]): Promise<void> {
    const news = await store.readNews(due.map((course) => course.question))
    news.forEach((answer, index) => {
      const course = due[index]
      if (course !== undefined && isOpen(course)) repaired += course.absorb(answer)
    })
  }

  /** In the next turn, whenever it was compared. */
  function compareSoon(course: OpenCourse): void {
    if (course.comparedAt !== undefined) course.comparedAt = Number.NEGATIVE_INFINITY
  }

  const isOpen = (course: OpenCourse) => courses.get(keyOf(course.scope)) === course

  /** Statuses of one moment, to the courses that are open here. */
  function deliver(entries: CourseEntry[]): void {
    const taken = new Map<OpenCourse, CourseEntry[]>()
    for (const entry of entries)
      for (const course of byCourse.get(entry.chapter.course_id) ?? []) {
        const { ownerId } = course.scope
        if (ownerId !== null && ownerId !== entry.ownerId) continue
        const ofCourse = taken.get(course) ?? []
        taken.set(course, ofCourse)
        ofCourse.push(entry)
      }
    for (const [course, ofCourse] of taken) {
      course.take(ofCourse.filter(({ isGone }) => isGone !== true))
      const gone = ofCourse.filter(({ isGone }) => isGone === true)
      if (gone.length > 0) course.forget(gone.map(({ chapter }) => chapter.chapter_id))
    }
  }

  /** The latest of chapters that other nodes are to be told of. */
  const outgoing = new Map<number, CourseEntry>()
  let outbox: CourseEntry[] = []
  let isGathering = false
  const outgoingThrottle = createThrottle(PUBLISH_EVERY_MS, (chapterId: number) => {
    const entry = outgoing.get(chapterId)
    outgoing.delete(chapterId)
    if (entry === undefined) return
    outbox.push(entry)
    if (!isGathering) sendOutbox()
  })

  function sendOutbox(): void {
    const entries = outbox
    outbox = []
    bus?.publishCourses(entries)
  }

  function tellOthers(entries: { entry: CourseEntry; isUrgent: boolean }[]): void {
    isGathering = true
    for (const { entry, isUrgent } of entries) {
      const { chapter_id: chapterId } = entry.chapter
      outgoing.set(chapterId, entry)
      if (isUrgent) outgoingThrottle.sendNow(chapterId)
      else outgoingThrottle.offer(chapterId)
    }
    isGathering = false
    sendOutbox()
  }

  const isElsewhere = (courseId: number) => bus?.hasCourse(courseId) === true

  /** Several nodes: another one may have made a chapter that is not known here yet. */
  async function checkEnding(course: OpenCourse, ending: Ending): Promise<void> {
    while (!isClosed && isOpen(course)) {
      try {
        course.absorb(await ask({ course }))
      } catch (error) {
        onError(error)
        await delay(ASK_AGAIN_MS, undefined, { ref: false })
        continue
      }
      // A chapter that was known then and is running now was started since. While messages may be missed this is not sure.
      const isUntrue = course.processing.some(
        (id) => !ending.known.has(id) || bus?.isCourseComplete === false,
      )
      if (!isOpen(course) || isUntrue) break
      course.complete(ending)
      return
    }
    course.dismiss(ending)
  }

  function open(scope: CourseScope): OpenCourse {
    const key = keyOf(scope)
    const known = courses.get(key)
    if (known !== undefined) return known
    const course = new OpenCourse({
      scope,
      subscribed: bus?.openCourse(scope.courseId) ?? RESOLVED,
      sockets: {
        joined: (joined) => toRoom(scope, 'joined_course', joined),
        status: (chapter) => toRoom(scope, 'chapter_status', chapter),
        completed: (completed, except) => toRoom(scope, 'course_completed', completed, except),
      },
      onEnding: (ending) => {
        if (bus === undefined) course.complete(ending)
        else void checkEnding(course, ending)
      },
    })
    courses.set(key, course)
    const ofCourse = byCourse.get(scope.courseId) ?? new Set()
    byCourse.set(scope.courseId, ofCourse.add(course))
    return course
  }

  function shut(course: OpenCourse): void {
    const { courseId } = course.scope
    course.stop()
    courses.delete(keyOf(course.scope))
    const ofCourse = byCourse.get(courseId)
    ofCourse?.delete(course)
    if (ofCourse?.size !== 0) return
    byCourse.delete(courseId)
    bus?.closeCourse(courseId)
  }

  function shareOf(course: OpenCourse): CourseShare {
    let listener: CourseListener | undefined
    let isShared = true
    course.shares += 1
    return {
      admit: (socketId) => course.admit(socketId),
      listen(added) {
        listener = added
        course.listen(added)
      },
      close() {
        if (!isShared) return
        isShared = false
        if (listener !== undefined) course.unlisten(listener)
        course.shares -= 1
        if (course.shares === 0 && isOpen(course)) shut(course)
      },
    }
  }

  async function readSent(): Promise<void> {
    const chapterIds = [...sentChapters.keys()]
    sentChapters.clear()
    const entries = await store.readEntries(chapterIds)
    if (isClosed) return
    deliver(entries)
    tellOthers(
      entries.flatMap((entry) => (isElsewhere(entry.chapter.course_id) ? [{ entry, isUrgent: false }] : [])),
    )
  }

  return {
    publish(committed) {
      const here: CourseEntry[] = []
      const elsewhere: { entry: CourseEntry; isUrgent: boolean }[] = []
      for (const { before, state, isDeleted = false } of committed) {
        const isHere = byCourse.has(state.courseId)
        const isOther = isElsewhere(state.courseId)
        if (!isHere && !isOther) continue
        const entry = { ...courseEntryOf(state, before), ...(isDeleted ? { isGone: true } : {}) }
        if (!isDeleted && before !== null && saysSame(chapterStatusOf(before), entry.chapter)) continue
        if (isHere) here.push(entry)
        if (isOther) elsewhere.push({ entry, isUrgent: isDeleted || before?.status !== state.status })
      }
      if (here.length > 0) deliver(here)
      if (elsewhere.length > 0) tellOthers(elsewhere)
    },

    sent(chapters) {
      for (const chapter of chapters)
        if (byCourse.has(chapter.courseId) || isElsewhere(chapter.courseId))
          sentChapters.set(chapter.chapterId, chapter)
      if (sentChapters.size === 0) return
      sentTimer ??= setTimeout(() => {
        sentTimer = undefined
        readSent().catch(onError)
      }, SENT_GATHER_MS)
    },

    async join({ scope, remember, isWanted, onJoined }) {
      const course = open(scope)
      const share = shareOf(course)
      let isIn = false
      try {
        await course.subscribed
        if (!isWanted()) return false
        const isFirst = course.comparedAt === undefined
        const news = await ask({ course, remember })
        if (!isWanted()) return false
        if (news.isTooLarge) throw new CourseTooLargeError(scope.courseId, COURSE_FOLLOWED_MAX)
        course.absorb(news)
        // Who else had it open may have heard of this node after this read.
        if (isFirst && bus !== undefined) compareSoon(course)
        isIn = true
        onJoined(course.snapshot(), share)
        return true
      } finally {
        if (!isIn) share.close()
      }
    },

    get courses() {
      return courses.size
    },
    get repaired() {
      return repaired
    },
    async close() {
      isClosed = true
      clearTimeout(sentTimer)
      outgoingThrottle.stop()
      await repairs.stop()
      for (const course of courses.values()) course.stop()
      courses.clear()
      byCourse.clear()
    },
  }
}

function keyOf({ courseId, ownerId }: CourseScope): string {
  return ownerId === null ? `${courseId}` : `${courseId} ${ownerId}`
}
