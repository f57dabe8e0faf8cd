import t from 'tap'
import { connectChapters } from '../../src/client/index.js'
import { newSnapshot, takeEvent, takePartial } from '../../src/client/snapshot.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { postPartial, workOf } from '../support/partial.js'

t.test('a snapshot has the text so far of each kind, until its result is there', async (t) => {
  const { url } = await buildTestApp(t)
  const chapters = connectChapters(url)
  t.teardown(() => chapters.close())
  const id = await createChapter(url)
  const watch = chapters.watch(id)
  const stop = watch.subscribe(() => {})
  t.teardown(stop)
  const concept = await workOf(url, id, 'concept')
  const quiz = await workOf(url, id, 'quiz')
  await postPartial(url, id, 'concept', { text: 'one ' }, concept)
  await waitFor('the text', () => watch.snapshot.partial.concept?.text === 'one ')
  await postPartial(url, id, 'concept', { text: 'two', offset: 4 }, concept)
  await postPartial(
    url,
    id,
    'quiz',
    { quizzes: [{ question: 'A?', options: null, correct_answer: 'x' }] },
    quiz,
  )
  await waitFor(
    'both',
    () => watch.snapshot.partial.quiz !== null && watch.snapshot.partial.concept?.text.length === 7,
  )
  t.same(watch.snapshot.partial, {
    concept: { attempt: 1, text: 'one two' },
    exercise: null,
    quiz: { attempt: 1, quizzes: [{ question: 'A?' }] },
  })
  const late = connectChapters(url)
  t.teardown(() => late.close())
  const lateWatch = late.watch(id)
  t.teardown(lateWatch.subscribe(() => {}))
  await waitFor('who comes later has it', () => lateWatch.snapshot.partial.concept?.text === 'one two')

  await finish(url, id, 'concept')
  await waitFor('the result', () => watch.snapshot.results.concept)
  t.equal(watch.snapshot.partial.concept, null)
  t.not(watch.snapshot.partial.quiz, null)
  await post(`${url}/v1/chapter/${id}/cancel`)
  await waitFor('the end', () => watch.snapshot.status === 'cancelled')
  t.same(watch.snapshot.partial, { concept: null, exercise: null, quiz: null })
})

t.test('a piece of a text that is not known, or of one that is complete, changes nothing', async (t) => {
  const piece = (attempt: number, offset: number, text: string) =>
    ({ name: 'concept_partial', payload: { chapter_id: 1, attempt, offset, text } }) as const
  const empty = newSnapshot(1)
  t.equal(takePartial(empty, piece(1, 3, 'x')), empty, 'what lies before it is missing')
  const first = takePartial(empty, piece(1, 0, 'abc'))
  t.same(
    takePartial(first, piece(1, 1, 'x')).partial.concept,
    { attempt: 1, text: 'ax' },
    'the worker went back',
  )
  t.same(takePartial(first, piece(2, 0, 'new')).partial.concept, { attempt: 2, text: 'new' })
  t.equal(takePartial(first, piece(2, 3, 'new')), first, 'of another attempt')
  const payload = { chapter_id: 1, concept_id: 2, status: 'completed', message: '', seq: 1, at: '' } as const
  const done = takeEvent(first, { name: 'concept_completed', payload })
  t.equal(done.partial.concept, null)
  t.equal(takePartial(done, piece(1, 0, 'late')), done)
})
