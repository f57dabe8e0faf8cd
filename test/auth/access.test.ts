import t from 'tap'
import {
  type Access,
  ANYONE,
  accessFrom,
  mayChange,
  mayRead,
  readable,
  readableCourse,
} from '../../src/auth/access.js'

/** Chapter 10 is owner 1’s, in course 7; chapter 20 is owner 2’s, in course 8. */
const CHAPTERS = {
  own: { chapterId: 10, ownerId: 1, courseId: 7 },
  other: { chapterId: 20, ownerId: 2, courseId: 8 },
}

const TOKENS = {
  'no token, authentication off': ANYONE.access,
  owner: accessFrom({ sub: '1' }),
  'another owner': accessFrom({ sub: '2' }),
  admin: accessFrom({ sub: 'backoffice', role: 'admin' }),
  'admin without sub': accessFrom({ role: 'admin' }),
  'an owner with another role': accessFrom({ sub: '1', role: 'teacher' }),
  'one that lists chapter 20': accessFrom({ chapters: [20] }),
  'one that lists course 8': accessFrom({ courses: [8] }),
  'one that lists both': accessFrom({ chapters: [10], courses: [8] }),
  'one that lists nothing': accessFrom({ chapters: [] }),
  'an owner whose token lists chapter 20': accessFrom({ sub: '1', chapters: [20] }),
  'an admin whose token lists course 8': accessFrom({ sub: '1', role: 'admin', courses: [8] }),
} satisfies Record<string, Access>

const RIGHTS: Record<keyof typeof TOKENS, { reads: string; changes: string }> = {
  'no token, authentication off': { reads: 'own other', changes: 'own other' },
  owner: { reads: 'own', changes: 'own' },
  'another owner': { reads: 'other', changes: 'other' },
  admin: { reads: 'own other', changes: 'own other' },
  'admin without sub': { reads: 'own other', changes: 'own other' },
  'an owner with another role': { reads: 'own', changes: 'own' },
  'one that lists chapter 20': { reads: 'other', changes: '' },
  'one that lists course 8': { reads: 'other', changes: '' },
  'one that lists both': { reads: 'own other', changes: '' },
  'one that lists nothing': { reads: '', changes: '' },
  'an owner whose token lists chapter 20': { reads: 'other', changes: '' },
  'an admin whose token lists course 8': { reads: 'other', changes: '' },
}

t.test('a token may do what its claims say, and nothing else', async (t) => {
  for (const [token, rights] of Object.entries(RIGHTS)) {
    const access: Access = TOKENS[token as keyof typeof TOKENS]
    const named = (may: (chapter: typeof CHAPTERS.own) => boolean) =>
      Object.entries(CHAPTERS)
        .filter(([, chapter]) => may(chapter))
        .map(([name]) => name)
        .join(' ')
    t.equal(
      named((chapter) => mayRead(access, chapter)),
      rights.reads,
      `reads, joins, streams: ${token}`,
    )
    t.equal(
      named(({ ownerId }) => mayChange(access, ownerId)),
      rights.changes,
      `creates, retries, cancels: ${token}`,
    )
  }
})

t.test('a token lists what it may read, and a filter only narrows that', async (t) => {
  const { owner, admin } = TOKENS
  t.same(readable(owner, {}), { ownerId: 1 })
  t.same(readable(owner, { ownerId: 1, courseId: 8 }), { ownerId: 1, courseId: 8 })
  t.throws(() => readable(owner, { ownerId: 2 }), { code: 'forbidden' })
  t.same(readable(admin, { ownerId: 2 }), { ownerId: 2 })
  t.same(readable(ANYONE.access, { courseId: 8 }), { courseId: 8 })

  const course = TOKENS['one that lists course 8']
  const among = { chapterIds: [], courseIds: [8] }
  t.same(readable(course, {}), { among })
  t.same(readable(course, { courseId: 8, ownerId: 2 }), { courseId: 8, ownerId: 2, among })
  t.throws(() => readable(course, { courseId: 7 }), { code: 'forbidden' })
  t.same(
    readable(TOKENS['one that lists both'], { courseId: 7 }),
    { courseId: 7, among: { chapterIds: [10], courseIds: [8] } },
    'a listed chapter may be in any course',
  )
})

t.test('claims that nothing follows from are refused, never read as more', async (t) => {
  for (const claims of [
    {},
    { sub: '' },
    { sub: 'alice' },
    { sub: '0' },
    { sub: '-1' },
    { sub: '01' },
    { sub: '1.0' },
    { sub: '1e3' },
    { sub: ' 1' },
    { sub: '9007199254740992' },
    { sub: 1 },
    { sub: ['1'] },
    { sub: '1', chapters: '10' },
    { sub: '1', chapters: ['10'] },
    { sub: '1', chapters: [0] },
    { sub: '1', chapters: null },
    { sub: '1', courses: { 8: true } },
    { role: 'admin', courses: [1.5] },
    { role: ['admin'] },
    { role: 'Admin' },
  ])
    t.throws(() => accessFrom(claims), { code: 'unauthorized' }, JSON.stringify(claims))
})

t.test('a course is shown whole, or one owner’s chapters of it, as the token says', async (t) => {
  const shown = (claims: object) => readableCourse(accessFrom({ ...claims }), 8).ownerId
  t.equal(shown({ sub: '2' }), 2)
  t.equal(shown({ role: 'admin' }), null)
  t.equal(shown({ courses: [8] }), null)
  t.equal(shown({ courses: [8], courses_of: 2 }), 2, 'a token that an owner gave')
  t.throws(() => shown({ courses: [7] }), { code: 'forbidden' })
  t.throws(() => shown({ chapters: [20] }), { code: 'forbidden' })
})
