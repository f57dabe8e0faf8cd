import t from 'tap'
import type { CourseChapter } from '../../src/contract/course.js'
import { chapterStatusOf, courseProgress, isNewer, noCounts, saysSame } from '../../src/domain/course.js'
import { COMPLETED, chapterWith, created, FAILED, NOON, QUEUED } from '../support/chapters.js'

t.test('a course shows of a chapter its title, where it and its parts stand, and the version', async (t) => {
  t.same(chapterStatusOf(created().state), {
    course_id: 5,
    chapter_id: 1,
    title: '변수와 자료형',
    status: 'processing',
    progress: 0,
    kinds: { concept: 'queued', exercise: 'queued', quiz: 'queued' },
    version: 1,
    updated_at: new Date(NOON).toISOString(),
  })
  const state = chapterWith(
    { concept: COMPLETED, exercise: FAILED, quiz: QUEUED },
    { progress: 33, version: 7, title: 'x' },
  )
  t.match(chapterStatusOf(state), {
    title: 'x',
    progress: 33,
    version: 7,
    kinds: { concept: 'completed', exercise: 'failed', quiz: 'queued' },
  })
})

t.test('what a client can see decides whether two statuses say the same', async (t) => {
  const one = chapterStatusOf(created().state)
  t.ok(saysSame(one, { ...one, version: 9, updated_at: 'later' }))
  const others: Partial<CourseChapter>[] = [
    { status: 'failed' },
    { progress: 1 },
    { title: 'x' },
    { kinds: { ...one.kinds, quiz: 'published' } },
  ]
  for (const other of others) t.notOk(saysSame(one, { ...one, ...other }), JSON.stringify(other))
})

t.test('the higher version is newer; of one version the one of which more was sent', async (t) => {
  const queued = chapterStatusOf(created().state)
  const sent: CourseChapter = { ...queued, kinds: { ...queued.kinds, quiz: 'published' } }
  t.ok(isNewer(queued, undefined))
  t.ok(isNewer({ ...queued, version: 2 }, sent))
  t.notOk(isNewer(sent, { ...queued, version: 2 }))
  t.ok(isNewer(sent, queued))
  t.notOk(isNewer(queued, sent))
  t.notOk(isNewer(queued, queued))
})

t.test('a course’s progress is the mean over its chapters, and 100 only when all are', async (t) => {
  t.equal(courseProgress(0, 0), 0)
  t.equal(courseProgress(299, 3), 99)
  t.equal(courseProgress(300, 3), 100)
  t.equal(courseProgress(0.1 + 0.2 + 2.7, 3), 1, 'whatever the order of the sum')
  t.same(noCounts(), { processing: 0, completed: 0, failed: 0, cancelled: 0 })
})
