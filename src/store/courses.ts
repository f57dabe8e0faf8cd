/**
 * Courses in the database: a page of one, and what is new in those that are open on a node.
 *
 * What is new is found by comparing versions, one statement for any number of courses. There is no index on what a
 * write changes, for every write of a chapter would have to keep it up; so the chapters of an open course are looked at
 * one by one, and it is asked for when messages may have been missed, not all the time.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { ChapterStatus } from '../contract/chapter.js'
import { COURSE_FOLLOWED_MAX } from '../contract/course.js'
import { type ChapterStanding, type CourseEntry, entryOf } from '../domain/course.js'
import { REMEMBER, rememberedRooms } from './events.js'
import { type Db, jsonParameter, prepare } from './prepared.js'
import { recordFields } from './records.js'
import * as table from './schema.js'
import type { RememberedRoom } from './sessions.js'

/** A course, or one owner’s chapters of it. */
export interface CourseScope {
  courseId: number
  ownerId: number | null
}

/** What the asker has of a course. */
export interface CourseQuestion extends CourseScope {
  known: KnownChapter[]
}

export interface KnownChapter {
  id: number
  version: number
  /** A job of it was queued: that changes without a new version. */
  isQueued: boolean
}

export interface CourseNews {
  /** Chapters that the asker lacks, or has in another version, or that may have been sent out meanwhile. */
  entries: CourseEntry[]
  /** Ids that the asker has and that are no more. */
  gone: number[]
  /** The course has more chapters than anybody follows. */
  isTooLarge: boolean
}

export interface CoursePage {
  counts: Partial<Record<ChapterStatus, number>>
  /** Of all chapters together. */
  progressSum: number
  entries: CourseEntry[]
}

export interface CourseStore {
  /** Answers by position; of one snapshot for each kind of scope. @param remember rooms of sessions, written with it */
  readNews(questions: CourseQuestion[], remember?: RememberedRoom[]): Promise<CourseNews[]>
  readPage(scope: CourseScope, page: { after: number; limit: number }): Promise<CoursePage>
  readEntries(chapterIds: number[]): Promise<CourseEntry[]>
}

interface NewsRow {
  news: { place: number; standings: ChapterStanding[]; gone: number[] }
}
interface PageRow {
  page: {
    statuses: { status: ChapterStatus; count: number; progressSum: number }[]
    standings: ChapterStanding[]
  }
}

export function createCourseStore(db: Db): CourseStore {
  const news = {
    course: prepare<NewsRow>(db, 'course_news', NEWS(ALL)),
    owner: prepare<NewsRow>(db, 'course_news_of_owner', NEWS(OF_OWNER)),
  }
  const joins = {
    course: prepare<NewsRow>(db, 'course_news_for_joins', sql`${REMEMBER} ${NEWS(ALL)}`),
    owner: prepare<NewsRow>(db, 'course_news_of_owner_for_joins', sql`${REMEMBER} ${NEWS(OF_OWNER)}`),
  }
  const page = {
    course: prepare<PageRow>(db, 'course_page', PAGE(ALL)),
    owner: prepare<PageRow>(db, 'course_page_of_owner', PAGE(OF_OWNER)),
  }
  const entries = prepare<{ standing: ChapterStanding }>(db, 'course_entries', ENTRIES)

  return {
    async readNews(questions, remember = []) {
      const answers: CourseNews[] = questions.map(() => ({ entries: [], gone: [], isTooLarge: false }))
      const placed = questions.map((question, place) => ({ place, ...question }))
      const owned = placed.filter(({ ownerId }) => ownerId !== null)
      const whole = placed.filter(({ ownerId }) => ownerId === null)
      // The rooms go with whichever comes first.
      const rooms = rememberedRooms(remember)
      for (const [kind, asked] of [
        ['course', whole],
        ['owner', owned],
      ] as const) {
        if (asked.length === 0) continue
        const values = { questions: JSON.stringify(asked), limit: COURSE_FOLLOWED_MAX + 1 }
        const withRooms = rooms.splice(0)
        const rows =
          withRooms.length === 0
            ? await news[kind](values)
            : await joins[kind]({ ...values, rooms: JSON.stringify(withRooms) })
        for (const {
          news: { place, standings, gone },
        } of rows)
          answers[place] = {
            entries: standings.map(entryOf),
            gone,
            isTooLarge: standings.length > COURSE_FOLLOWED_MAX,
          }
      }
      return answers
    },

    async readPage({ courseId, ownerId }, { after, limit }) {
      const values = { courseId, ownerId, after, limit }
      const [row] = await (ownerId === null ? page.course(values) : page.owner(values))
      if (row === undefined) throw new Error('The page of a course returned no row')
      const { statuses, standings } = row.page
      return {
        counts: Object.fromEntries(statuses.map(({ status, count }) => [status, count])),
        progressSum: statuses.reduce((sum, { progressSum }) => sum + progressSum, 0),
        entries: standings.map(entryOf),
      }
    },

    async readEntries(chapterIds) {
      if (chapterIds.length === 0) return []
      return (await entries({ ids: chapterIds.join() })).map(({ standing }) => entryOf(standing))
    },
  }
}

const STANDING_KEYS = [
  'id',
  'courseId',
  'ownerId',
  'title',
  'locale',
  'status',
  'progress',
  'version',
  'updatedAt',
] satisfies (keyof ChapterStanding)[]

const STANDING = sql`
  json_build_object(${recordFields(table.chapter, 'c', STANDING_KEYS)},
    'kinds', (select json_object_agg(j.kind, j.status) from job j where j.chapter_id = c.id))`

/** Whose chapters of the course: two statements, so that each has a plan of its own. */
type Owner = (ownerId: SQL) => SQL
const ALL: Owner = () => sql`true`
const OF_OWNER: Owner = (ownerId) => sql`c.owner_id = ${ownerId}`

const KNOWN = sql`json_to_recordset(asked.known) as known(id bigint, version bigint, "isQueued" boolean)`

const NEWS = (owner: Owner) => sql`
select json_build_object(
  'place', asked.place,
  'standings', (
    select coalesce(json_agg(${STANDING} order by c.id), '[]')
    from (
      select * from chapter c where c.course_id = asked."courseId" and ${owner(sql`asked."ownerId"`)}
      order by c.id limit ${sql.placeholder('limit')}::int) c left join ${KNOWN} on known.id = c.id
    where known.id is null or known.version <> c.version or known."isQueued"),
  'gone', (
    select coalesce(json_agg(known.id), '[]')
    from ${KNOWN} where not exists (select from chapter c where c.id = known.id))) as news
from json_to_recordset(${jsonParameter('questions')}) as asked(
  place int, "courseId" bigint, "ownerId" bigint, known json)`

const PAGE = (owner: Owner) => {
  const scope = sql`c.course_id = ${sql.placeholder('courseId')}::bigint
    and ${owner(sql`${sql.placeholder('ownerId')}::bigint`)}`
  return sql`
select json_build_object(
  'statuses', (
    select coalesce(json_agg(s), '[]') from (
      select c.status, count(*) as count, sum(c.progress) as "progressSum"
      from chapter c where ${scope} group by c.status) s),
  'standings', (
    select coalesce(json_agg(${STANDING} order by c.id), '[]') from (
      select * from chapter c where ${scope} and c.id > ${sql.placeholder('after')}::bigint
      order by c.id limit ${sql.placeholder('limit')}::int) c)) as page`
}

const ENTRIES = sql`
select ${STANDING} as standing
from chapter c where c.id = any(string_to_array(${sql.placeholder('ids')}::text, ',')::bigint[])`
