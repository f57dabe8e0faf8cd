/**
 * Who may do what with a chapter, from a token’s claims. Rules only: no token is checked here, nothing is read.
 *
 * - With client authentication off, anyone may do anything.
 * - `role: "admin"` may do anything.
 * - Lists (`chapters`, `courses`) make a token one that watches: it reads, joins and streams what they name, whoever
 *   owns it, and nothing else. That holds whatever else it says, `sub` and `role` included: a list narrows.
 *   `courses_of` narrows its courses to one owner’s chapters; `answers: true` shows answers and earlier revisions too.
 * - Otherwise `sub` is the owner id, and the token is good for that owner’s chapters alone.
 */
import { ForbiddenError, UnauthorizedError } from '../errors.js'

export type Access =
  | { kind: 'anyone' }
  | { kind: 'admin' }
  | { kind: 'owner'; ownerId: number }
  | {
      kind: 'viewer'
      chapterIds: ReadonlySet<number>
      courseIds: ReadonlySet<number>
      /** Of the courses only this owner’s chapters. */
      coursesOf?: number
      /** Answers and earlier revisions too. */
      withAnswers?: true
    }

/** Whoever sent a request or holds a connection. */
export interface Identity {
  access: Access
  /** `sub`, if any: whom limits are counted for. */
  subject: string | undefined
  /** When the credentials end, in ms since the epoch; `Infinity` without any. */
  expiresAt: number
}

/** Everybody, while client authentication is off. */
export const ANYONE: Readonly<Identity> = {
  access: { kind: 'anyone' },
  subject: undefined,
  expiresAt: Number.POSITIVE_INFINITY,
}

/** As much of a chapter as permission depends on; none of it ever changes. */
export interface ChapterOwnership {
  chapterId: number
  ownerId: number
  courseId: number
}

/** @throws {UnauthorizedError} when the claims say nothing that a right could follow from */
export function accessFrom(claims: Readonly<Record<string, unknown>>): Access {
  // A list that cannot be read must not count as none: that would widen what the token may do.
  const chapterIds = idsFrom(claims, 'chapters')
  const courseIds = idsFrom(claims, 'courses')
  if (chapterIds !== undefined || courseIds !== undefined)
    return {
      kind: 'viewer',
      chapterIds: chapterIds ?? new Set(),
      courseIds: courseIds ?? new Set(),
      ...coursesOf(claims),
      ...(claims.answers === true ? { withAnswers: true } : {}),
    }
  if (claims.role === 'admin') return { kind: 'admin' }
  const ownerId =
    typeof claims.sub === 'string' && /^[1-9]\d{0,15}$/.test(claims.sub) ? Number(claims.sub) : 0
  if (!isId(ownerId))
    throw new UnauthorizedError('The token’s `sub` must be the owner id: a positive integer, as text')
  return { kind: 'owner', ownerId }
}

/** To read, list, join and stream. */
export function mayRead(access: Access, { chapterId, ownerId, courseId }: ChapterOwnership): boolean {
  switch (access.kind) {
    case 'anyone':
    case 'admin':
      return true
    case 'owner':
      return access.ownerId === ownerId
    case 'viewer':
      return (
        access.chapterIds.has(chapterId) ||
        (access.courseIds.has(courseId) && (access.coursesOf === undefined || access.coursesOf === ownerId))
      )
  }
}

/** Answers and earlier revisions, of what may be read. */
export function mayReadAnswers(access: Access, chapter: ChapterOwnership): boolean {
  return mayRead(access, chapter) && (access.kind !== 'viewer' || access.withAnswers === true)
}

/** To create, retry, cancel, regenerate, restore, delete and give watch tokens, for that owner. */
export function mayChange(access: Access, ownerId: number): boolean {
  return (
    access.kind === 'anyone' ||
    access.kind === 'admin' ||
    (access.kind === 'owner' && access.ownerId === ownerId)
  )
}

/** @throws {ForbiddenError} */
export function requireRead(access: Access, chapter: ChapterOwnership): void {
  if (!mayRead(access, chapter))
    throw new ForbiddenError(`This token may not read chapter ${chapter.chapterId}`)
}

/** @throws {ForbiddenError} */
export function requireAnswers(access: Access, chapter: ChapterOwnership): void {
  if (!mayReadAnswers(access, chapter))
    throw new ForbiddenError('This token shows no answers and no earlier revisions; one with `answers` does')
}

/** @throws {ForbiddenError} */
export function requireChange(access: Access, ownerId: number): void {
  if (mayChange(access, ownerId)) return
  throw new ForbiddenError(
    access.kind === 'viewer'
      ? 'This token may watch what it lists and nothing else; the owner’s own is needed'
      : 'This token may create and change chapters of its own owner only',
  )
}

export interface ReadableFilter {
  ownerId?: number
  courseId?: number
  /** Only chapters in one of these lists; of the courses only this owner’s, if one is named. */
  among?: { chapterIds: readonly number[]; courseIds: readonly number[]; coursesOf?: number }
}

/**
 * Narrows what was asked for to what may be read.
 * @throws {ForbiddenError} when an owner or a course was asked for of which nothing can be readable
 */
export function readable(
  access: Access,
  asked: { ownerId?: number | undefined; courseId?: number | undefined },
): ReadableFilter {
  const filter: ReadableFilter = {
    ...(asked.ownerId === undefined ? {} : { ownerId: asked.ownerId }),
    ...(asked.courseId === undefined ? {} : { courseId: asked.courseId }),
  }
  switch (access.kind) {
    case 'anyone':
    case 'admin':
      return filter
    case 'owner':
      if (asked.ownerId !== undefined && asked.ownerId !== access.ownerId)
        throw new ForbiddenError(`This token may not list chapters of owner ${asked.ownerId}`)
      return { ...filter, ownerId: access.ownerId }
    case 'viewer': {
      const { chapterIds, courseIds } = access
      if (asked.courseId !== undefined && chapterIds.size === 0 && !courseIds.has(asked.courseId))
        throw new ForbiddenError(`This token may not list chapters of course ${asked.courseId}`)
      return {
        ...filter,
        among: {
          chapterIds: [...chapterIds],
          courseIds: [...courseIds],
          ...(access.coursesOf === undefined ? {} : { coursesOf: access.coursesOf }),
        },
      }
    }
  }
}

/**
 * Whose chapters of a course may be read: null is everybody’s. An owner sees their own, for a course is a number that
 * anybody may use.
 * @throws {ForbiddenError} when the token lists other things
 */
export function readableCourse(access: Access, courseId: number): { ownerId: number | null } {
  if (access.kind === 'owner') return { ownerId: access.ownerId }
  if (access.kind !== 'viewer') return { ownerId: null }
  if (!access.courseIds.has(courseId)) throw new ForbiddenError(`This token may not read course ${courseId}`)
  return { ownerId: access.coursesOf ?? null }
}

function idsFrom(claims: Readonly<Record<string, unknown>>, name: string): Set<number> | undefined {
  const ids = claims[name]
  if (ids === undefined) return undefined
  if (Array.isArray(ids) && ids.every(isId)) return new Set(ids)
  throw new UnauthorizedError(`The token’s \`${name}\` must be a list of ids`)
}

/** One that cannot be read must not count as none, either. */
function coursesOf({ courses_of: ownerId }: Readonly<Record<string, unknown>>): { coursesOf?: number } {
  if (ownerId === undefined) return {}
  if (isId(ownerId)) return { coursesOf: ownerId }
  throw new UnauthorizedError('The token’s `courses_of` must be an owner id')
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}
