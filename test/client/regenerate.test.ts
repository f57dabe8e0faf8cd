/** The client library against a real server: written again, brought back, erased, watched with a token. */
import t, { type Test } from 'tap'
import { type ChapterWatch, connectChapters, RefusedError } from '../../src/client/index.js'
import { JWT_SECRET, signToken } from '../auth/tokens.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, FINISH_BODIES, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { finishAll, viewJob } from '../support/views.js'

async function watched(t: Test) {
  const { url } = await buildTestApp(t)
  const chapters = connectChapters(url)
  t.teardown(() => chapters.close())
  const id = await createChapter(url)
  await finishAll(url, id)
  const watch = chapters.watch(id)
  watch.subscribe(() => {})
  await status(watch, 'completed')
  return { url, chapters, id, watch }
}

const status = (watch: ChapterWatch, wanted: string) =>
  waitFor(`${wanted} is shown`, () => watch.snapshot.status === wanted)

t.test(
  'a snapshot shows a part that is written again, with the old one readable until it is stored',
  async (t) => {
    const { url, chapters, id, watch } = await watched(t)
    t.match(watch.snapshot.jobs.concept, { revision: 1, content_revision: 1 })
    const accepted = await chapters.regenerate(id, 'concept', { instruction: 'shorter' })
    t.match(accepted, { revision: 2, kind: 'concept', status: 'processing' })
    await status(watch, 'processing')
    t.match(watch.snapshot, { progress: 66, results: { concept: true } })
    t.match(watch.snapshot.jobs.concept, { status: 'queued', revision: 2, content_revision: 1, attempt: 1 })
    await finish(url, id, 'concept', { title: 'new', content: 'new' })
    await status(watch, 'completed')
    t.match(watch.snapshot.jobs.concept, { status: 'completed', revision: 2, content_revision: 2 })
    t.match((await chapters.revisions(id, 'concept')).revisions, [
      { revision: 1 },
      { instruction: 'shorter' },
    ])
    t.match(await chapters.revision(id, 'concept', 1), { concept: FINISH_BODIES.concept })
    t.match(await chapters.revision(id, 'exercise', 1, { answers: true }), {
      exercise: FINISH_BODIES.exercise,
    })

    t.match(await chapters.restore(id, 'concept', 1), { revision: 3 })
    await waitFor('it is back', () => watch.snapshot.jobs.concept.content_revision === 3)
    t.equal(watch.snapshot.status, 'completed')
    t.match((await chapters.learning(id)).concept, { ...FINISH_BODIES.concept, revision: 3 })
  },
)

t.test('a part that fails when it is written again is shown with what there was', async (t) => {
  const { url, chapters, id, watch } = await watched(t)
  await chapters.regenerate(id, 'quiz')
  const { job_id, attempt } = await viewJob(url, id, 'quiz')
  await post(`${url}/v1/chapter/${id}/quiz-fail`, { error: 'no', retryable: false, job_id, attempt })
  await waitFor('the end', () => watch.snapshot.last_seq === 11)
  t.match(watch.snapshot, { status: 'completed', progress: 100, results: { quiz: true } })
  t.match(watch.snapshot.jobs.quiz, { status: 'completed', content_revision: 1, error: { message: 'no' } })
  await chapters.learning(id)
})

t.test('whoever watches a chapter that is erased is told that there is none', async (t) => {
  const { chapters, id, watch } = await watched(t)
  await chapters.remove(id)
  await waitFor('it is known', () => watch.snapshot.error !== null)
  t.match(watch.snapshot, { connection: 'closed', exists: false, error: { code: 'chapter_not_found' } })
  await t.rejects(chapters.remove(id), RefusedError)
  await t.rejects(chapters.get(id), { code: 'chapter_not_found' })
})

t.test('a token that only watches is given by the owner’s client', async (t) => {
  const { url } = await buildTestApp(t, { JWT_SECRET })
  const token = await signToken({ sub: '6' })
  const teacher = connectChapters(url, { token })
  t.teardown(() => teacher.close())
  const { chapter_id: id } = await teacher.create({ course_id: 4, owner_id: 6, title: 'x' })
  for (const given of [await teacher.watchToken(id, { ttl_s: 60 }), await teacher.courseWatchToken(4)]) {
    const learner = connectChapters(url, { token: given.token })
    t.teardown(() => learner.close())
    t.match(await learner.get(id), { chapter_id: id })
    await t.rejects(learner.learning(id, { answers: true }), { code: 'forbidden' })
    await t.rejects(learner.remove(id), { code: 'forbidden' })
    await t.rejects(learner.regenerate(id, 'quiz'), { code: 'forbidden' })
  }
})
