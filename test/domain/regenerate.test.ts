import t from 'tap'
import type { JOB_KINDS } from '../../src/contract/job.js'
import { RevisionNotFoundError, WrongStateError } from '../../src/errors.js'
import {
  at,
  COMPLETED,
  chapterWith,
  decideOn,
  FAILED,
  failOf,
  finishOf,
  NOON,
  namesOf,
  payloadOf,
  progressOf,
  startOf,
  workOf,
} from '../support/chapters.js'

const DONE = { concept: COMPLETED, exercise: COMPLETED, quiz: COMPLETED }
const COMPLETE = chapterWith(DONE, { status: 'completed', progress: 100, completedAt: NOON })
const regenerateOf = (kind = 'concept' as (typeof JOB_KINDS)[number], instruction: string | null = null) =>
  ({ type: 'regenerate', chapterId: 1, kind, instruction }) as const
const again = () => decideOn(COMPLETE, regenerateOf('concept', 'shorter, please'), at(NOON + 5)).state

t.test('a part that is written again begins a run, and what there is stays readable', async (t) => {
  const decision = decideOn(COMPLETE, regenerateOf('concept', 'shorter, please'), at(NOON + 5))
  t.same(namesOf(decision), ['concept_regenerating'])
  t.match(payloadOf(decision, 'concept_regenerating'), {
    status: 'regenerating',
    revision: 2,
    instruction: 'shorter, please',
  })
  t.match(decision.reply, { status: 'processing', kind: 'concept', revision: 2, last_seq: 5 })
  const { state } = decision
  t.match(state, { status: 'processing', completedAt: null, progress: 66 })
  const job = { status: 'queued', attempt: 1, progress: 0, revision: 2, keptRevision: 1, dueAt: NOON + 5 }
  t.match(state.jobs.concept, job)
  t.not(state.jobs.concept.jobId, COMPLETE.jobs.concept.jobId)
  t.match(decision.revisions, [
    { kind: 'concept', revision: 2, instruction: 'shorter, please', keptRevision: 1 },
  ])
  t.match(decision.attempts, [{ outcome: 'completed', revision: 1, jobId: COMPLETE.jobs.concept.jobId }])
})

t.test('without an instruction none is told', async (t) => {
  t.notOk('instruction' in payloadOf(decideOn(COMPLETE, regenerateOf()), 'concept_regenerating'))
})

t.test('its result ends the run with all_completed again and says its revision', async (t) => {
  const state = again()
  const decision = decideOn(state, finishOf('concept', workOf(state, 'concept')), at(NOON + 9))
  t.same(namesOf(decision), ['concept_completed', 'all_completed'])
  t.equal(payloadOf(decision, 'concept_completed').revision, 2)
  t.match(decision.state, { status: 'completed', progress: 100, completedAt: NOON + 9 })
  t.match(decision.state.jobs.concept, { revision: 2, keptRevision: null })
  t.same(decision.attempts, [], 'its first attempt is told by the job itself')
})

t.test('the first revision is not numbered in its event', async (t) => {
  t.notOk('revision' in payloadOf(decideOn(chapterWith(), finishOf('quiz')), 'quiz_completed'))
})

t.test('progress of the new run does not begin at its end, and is 100 only there', async (t) => {
  let state = again()
  t.ok(state.progress < 100 && (state.latestProgress?.progress ?? 100) < 100)
  state = decideOn(state, startOf(state, 'concept')).state
  state = decideOn(state, progressOf(100, { kind: 'concept', named: workOf(state, 'concept') })).state
  t.equal(state.progress, 99)
})

t.test(
  'a part that fails when it is written again keeps what there was, and the chapter is complete',
  async (t) => {
    const state = again()
    const named = workOf(state, 'concept')
    const decision = decideOn(state, failOf('concept', { named, retryable: false }), at(NOON + 9))
    t.same(namesOf(decision), ['concept_failed', 'all_completed'])
    t.equal(payloadOf(decision, 'concept_failed').kept, true)
    t.match(decision.reply, { status: 'success', message: 'concept failed' })
    t.match(decision.state, { status: 'completed', progress: 100, completedAt: NOON + 9 })
    t.match(decision.state.jobs.concept, {
      status: 'completed',
      revision: 2,
      keptRevision: 1,
      reason: 'model_error',
      progress: 100,
    })
    t.match(decision.deadLetters, [{ kind: 'concept', revision: 2, ...named }])
    t.match(decision.attempts, [{ outcome: 'failed', revision: 2, reason: 'model_error' }])

    const late = decideOn(decision.state, finishOf('concept', named), at(NOON + 99))
    t.same(namesOf(late), ['concept_completed', 'all_completed'], 'its late result still counts')
    t.match(late.state.jobs.concept, { revision: 2, keptRevision: null, reason: null })
    const repeat = decideOn(decision.state, finishOf('concept'))
    t.match(repeat.reply, { status: 'duplicate' })
  },
)

t.test('after a revision that failed the next one has a number of its own', async (t) => {
  const state = again()
  const kept = decideOn(state, failOf('concept', { named: workOf(state, 'concept'), retryable: false })).state
  const decision = decideOn(kept, regenerateOf())
  t.equal(payloadOf(decision, 'concept_regenerating').revision, 3)
  t.equal(decision.state.jobs.concept.keptRevision, 1)
  t.same(decision.attempts, [], 'the attempt that failed was noted then')
})

t.test('a result of the earlier job never counts for the new revision', async (t) => {
  const state = again()
  const { jobId } = COMPLETE.jobs.concept
  for (const named of [{ jobId, attempt: 1 }, { jobId }]) {
    const decision = decideOn(state, finishOf('concept', named))
    t.match(decision.reply, { status: 'duplicate' })
    t.equal(decision.state, state)
  }
  t.same(namesOf(decideOn(state, finishOf('concept'))), ['concept_completed', 'all_completed'])
})

t.test('a part that failed is written again with an instruction, and has nothing to keep', async (t) => {
  const failed = chapterWith({ ...DONE, quiz: FAILED }, { status: 'failed', progress: 66 })
  const state = decideOn(failed, regenerateOf('quiz', 'fewer numbers')).state
  t.match(state.jobs.quiz, { status: 'queued', revision: 2, keptRevision: null, reason: null })
  const old = decideOn(state, finishOf('quiz', { jobId: failed.jobs.quiz.jobId, attempt: 1 }))
  t.match(old.reply, { status: 'ignored' }, 'a late result of before was not asked for with it')
  const decision = decideOn(state, failOf('quiz', { named: workOf(state, 'quiz'), retryable: false }))
  t.same(namesOf(decision), ['quiz_failed', 'chapter_failed'])
  t.notOk('kept' in payloadOf(decision, 'quiz_failed'))
})

t.test(
  'in a failed chapter a part that is there is written again, and the chapter has failed still',
  async (t) => {
    const failed = chapterWith({ ...DONE, quiz: FAILED }, { status: 'failed', progress: 66 })
    const state = decideOn(failed, regenerateOf('concept')).state
    t.match(state, { status: 'processing', progress: 33 })
    for (const command of [
      finishOf('concept', workOf(state, 'concept')),
      failOf('concept', { named: workOf(state, 'concept'), retryable: false }),
    ]) {
      const decision = decideOn(state, command)
      t.same(namesOf(decision).at(-1), 'chapter_failed')
      t.same(payloadOf(decision, 'chapter_failed').failed, ['quiz'])
    }
  },
)

t.test(
  'cancelled while a part is written again, the chapter stays cancelled with what there was',
  async (t) => {
    const { state, events } = decideOn(again(), { type: 'cancel', chapterId: 1 })
    t.same(namesOf({ events }), ['chapter_cancelled'])
    t.match(state.jobs.concept, { status: 'cancelled', revision: 2, keptRevision: 1 })
    t.match(decideOn(state, finishOf('concept')).reply, { status: 'ignored' })
    t.throws(() => decideOn(state, regenerateOf()), WrongStateError)
  },
)

t.test('what is being written is not begun anew', async (t) => {
  t.throws(() => decideOn(again(), regenerateOf()), WrongStateError)
  t.throws(() => decideOn(again(), regenerateOf('quiz')), WrongStateError)
  t.throws(() => decideOn(chapterWith(), regenerateOf()), WrongStateError)
})

const restoreOf = (revision: number, quizzes = 2) =>
  ({
    type: 'restore',
    chapterId: 1,
    kind: 'quiz',
    revision,
    instruction: 'the first',
    content: {
      kind: 'quiz',
      result: {
        quizzes: Array.from({ length: quizzes }, () => ({
          question: 'q',
          correct_answer: 'a',
          type: 'short' as const,
        })),
      },
    },
  }) as const

t.test('an earlier revision is brought back as a revision of its own, at once', async (t) => {
  const state = chapterWith(
    { ...DONE, quiz: { ...COMPLETED, revision: 2 } },
    { status: 'completed', progress: 100, completedAt: NOON },
  )
  const decision = decideOn(state, restoreOf(1), at(NOON + 7))
  t.same(namesOf(decision), ['quiz_completed'])
  t.match(payloadOf(decision, 'quiz_completed'), { revision: 3, quiz_count: 2 })
  t.match(decision.state, { status: 'completed', quizCount: 2, completedAt: NOON })
  t.match(decision.reply, { revision: 3, kind: 'quiz', status: 'completed' })
  t.match(decision.revisions, [{ revision: 3, keptRevision: 2, instruction: 'the first' }])
  t.equal(decision.results.length, 1)
})

t.test('the current revision is brought back without a change', async (t) => {
  const { state, reply } = decideOn(COMPLETE, { ...restoreOf(1), content: undefined })
  t.equal(state, COMPLETE)
  t.match(reply, { revision: 1 })
})

t.test('a revision is not brought back while something is written, or where nothing is', async (t) => {
  t.throws(() => decideOn(again(), restoreOf(1)), WrongStateError)
  const failed = chapterWith({ ...DONE, quiz: FAILED }, { status: 'failed' })
  t.throws(() => decideOn(failed, restoreOf(1)), RevisionNotFoundError)
  t.throws(() => decideOn(COMPLETE, { ...restoreOf(2), content: undefined }), WrongStateError)
})

t.test('in a failed chapter a revision is brought back, and the chapter has failed still', async (t) => {
  const failed = chapterWith({ concept: FAILED, quiz: { ...COMPLETED, revision: 3 } }, { status: 'failed' })
  const decision = decideOn(failed, restoreOf(1))
  t.same(namesOf(decision), ['quiz_completed'])
  t.equal(decision.state.status, 'failed')
})

t.test('every attempt that ends without a result is noted for its history', async (t) => {
  let state = chapterWith()
  state = decideOn(state, startOf(state, 'quiz'), at(NOON + 1)).state
  const decision = decideOn(state, failOf('quiz', { named: workOf(state, 'quiz') }), at(NOON + 2))
  t.same(decision.attempts, [
    {
      ...{ kind: 'quiz', revision: 1, ...workOf(state, 'quiz'), startedAt: NOON + 1, endedAt: NOON + 2 },
      ...{ outcome: 'failed', reason: 'model_error', error: 'the model said no' },
    },
  ])
})

t.test('a chapter is erased in whatever state it is', async (t) => {
  for (const state of [chapterWith(), COMPLETE, again()]) {
    const decision = decideOn(state, { type: 'delete', chapterId: 1 })
    t.equal(decision.isDeleted, true)
    t.same(decision.events, [])
  }
})
