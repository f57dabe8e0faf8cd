import t from 'tap'
import {
  at,
  COMPLETED,
  chapterWith,
  created,
  decideOn,
  expireOf,
  failOf,
  finishOf,
  NOON,
  POLICY,
  progressOf,
  QUEUED,
  STARTED,
} from '../support/chapters.js'

t.test('the progress of a chapter is the mean over its parts, a stored one being 100', async (t) => {
  for (const [concept, exercise, reported, expected] of [
    [{}, {}, 50, 16],
    [{}, {}, 100, 33],
    [COMPLETED, {}, 50, 50],
    [COMPLETED, COMPLETED, 99, 99],
    [COMPLETED, COMPLETED, 0, 66],
    [{ progress: 10 }, { progress: 20 }, 33.3, 21],
  ] as const) {
    const { state } = decideOn(chapterWith({ concept, exercise }), progressOf(reported, { kind: 'quiz' }))
    t.equal(state.progress, expected)
  }
})

t.test('what is reported for the chapter counts when it is more', async (t) => {
  const higher = decideOn(chapterWith({ concept: COMPLETED }), progressOf(70)).state
  t.equal(higher.progress, 70)
  const lower = decideOn(chapterWith({ concept: COMPLETED }), progressOf(10)).state
  t.equal(lower.progress, 33)
})

t.test('progress never goes backwards, whatever is reported', async (t) => {
  const state = chapterWith({ concept: { progress: 60, ...STARTED } }, { progress: 80 })
  t.equal(decideOn(state, progressOf(10)).state.progress, 80)
  const decision = decideOn(state, progressOf(10, { kind: 'concept' }))
  t.equal(decision.state.progress, 80)
  t.equal(decision.state.jobs.concept.progress, 60)
})

t.test('an attempt that ends takes the part back to 0, and not the chapter', async (t) => {
  const state = chapterWith({ concept: { progress: 60, ...STARTED } }, { progress: 20 })
  for (const decision of [
    decideOn(state, failOf('concept')),
    decideOn(state, failOf('concept', { retryable: false })),
    decideOn(state, expireOf(state, 'concept'), at(NOON + POLICY.timeoutMs)),
  ]) {
    t.equal(decision.state.progress, 20)
    t.match(decision.state.latestProgress, { progress: 20, kind: 'concept', kind_progress: 0 })
  }
})

t.test('an update says whom it concerns, and how far that one is', async (t) => {
  const message = '개념을 쓰고 있습니다'
  const ofKind = decideOn(chapterWith(), progressOf(30, { kind: 'concept', message })).state
  t.same(ofKind.latestProgress, { chapter_id: 1, progress: 10, message, kind: 'concept', kind_progress: 30 })
  const ofChapter = decideOn(chapterWith(), progressOf(30, { message })).state
  t.same(ofChapter.latestProgress, { chapter_id: 1, progress: 30, message })
  t.equal(ofChapter.progressVersion, ofChapter.version)
})

t.test('an update that says nothing new is not news', async (t) => {
  const first = decideOn(chapterWith(), progressOf(30, { kind: 'concept' })).state
  const same = decideOn(first, progressOf(30, { kind: 'concept' }), at(NOON + 1)).state
  t.equal(same.progressVersion, first.progressVersion)
  t.equal(same.latestProgress, first.latestProgress)
  t.ok(same.version > first.version, 'though the deadline was renewed')
  for (const news of [
    progressOf(31, { kind: 'concept' }),
    progressOf(30, { kind: 'concept', message: 'almost' }),
    progressOf(30),
  ])
    t.equal(decideOn(first, news).state.progressVersion, first.version + 1)
})

t.test('a result and its message are the latest progress, and all of it is 100', async (t) => {
  const one = decideOn(chapterWith(), finishOf('concept')).state
  t.match(one.latestProgress, { progress: 33, kind: 'concept', kind_progress: 100 })
  const all = decideOn(decideOn(one, finishOf('quiz')).state, finishOf('exercise')).state
  t.match(all.latestProgress, { progress: 100 })
})

t.test('100 reported for the chapter completes nothing, and is told as 99', async (t) => {
  const { state, events } = decideOn(chapterWith(), progressOf(100))
  t.match(state, { progress: 99, status: 'processing' })
  t.same(events, [])
})

t.test('progress without a name is noted for a job that waits, which stays waiting', async (t) => {
  const state = chapterWith({ concept: { ...QUEUED, attempt: 2 } })
  const noted = decideOn(state, progressOf(30, { kind: 'concept' })).state
  t.match(noted.jobs.concept, { status: 'queued', progress: 30, startedAt: null, deadlineAt: null })
  t.equal(noted.progress, 10)
})

t.test('progress for the chapter that names work counts while that work is current', async (t) => {
  const state = chapterWith({ concept: { attempt: 2 }, exercise: COMPLETED })
  const { jobId } = state.jobs.concept
  const statusOf = (named: object) => decideOn(state, progressOf(40, { named })).reply.status
  t.equal(statusOf({ jobId, attempt: 2 }), 'success')
  t.equal(statusOf({ jobId, attempt: 1 }), 'ignored')
  t.equal(statusOf({ jobId: state.jobs.exercise.jobId, attempt: 1 }), 'ignored', 'its part is stored')
  const waiting = created().state
  const named = { jobId: waiting.jobs.quiz.jobId, attempt: 1 }
  t.equal(
    decideOn(waiting, progressOf(40, { named })).reply.status,
    'success',
    'it overtook the mark of its sending',
  )
})
