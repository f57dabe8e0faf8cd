import t from 'tap'
import type { ChapterCommand } from '../../src/domain/command.js'
import { decide } from '../../src/domain/decide.js'
import {
  at,
  chapterWith,
  decideOn,
  FAILED,
  MINUTE_MS,
  NOON,
  namesOf,
  payloadOf,
  QUEUED,
  STARTED,
} from '../support/chapters.js'

const RESTART = { type: 'restart', chapterId: 1, kind: 'concept' } as const
const LATER = NOON + 5 * MINUTE_MS
const instant = (ms: number) => new Date(ms).toISOString()

t.test('an attempt that is started anew by hand keeps its number and is due at once', async (t) => {
  for (const attempt of [1, 3]) {
    const state = chapterWith({ concept: { ...STARTED, attempt, progress: 40 } })
    const decision = decideOn(state, RESTART, at(LATER))
    t.same(namesOf(decision), ['concept_retrying'])
    t.match(payloadOf(decision, 'concept_retrying'), { attempt, retry_at: instant(LATER) })
    t.match(decision.state.jobs.concept, { status: 'queued', attempt, dueAt: LATER, startedAt: null })
    t.same(decision.deadLetters, [], 'its last attempt is not used up by it')
    t.match(decision.attempts, [{ attempt, jobId: state.jobs.concept.jobId, outcome: 'failed' }])
  }
})

t.test('what the worker of a given-up attempt says no longer counts, but for a result', async (t) => {
  const state = chapterWith({ concept: STARTED })
  const { jobId, attempt } = state.jobs.concept
  const again = decideOn(state, RESTART, at(LATER)).state
  const named = { jobId, attempt }
  const fail: ChapterCommand = {
    ...{ type: 'fail', chapterId: 1, kind: 'concept', named },
    ...{ reason: 'model_error', error: 'late', retryable: true, retryAfterMs: 0 },
  }
  t.equal(decide(again, fail, at(LATER)).state, again)
  const result = { title: 'Title', content: 'Content' }
  const finish: ChapterCommand = { type: 'finish', chapterId: 1, kind: 'concept', named, result }
  t.equal(decide(again, finish, at(LATER)).state.jobs.concept.status, 'completed')
})

t.test('a job that waits for its retry is sent now, as the same work', async (t) => {
  const state = chapterWith({ concept: { ...QUEUED, attempt: 2, dueAt: LATER + MINUTE_MS } })
  const decision = decideOn(state, RESTART, at(LATER))
  const { jobId } = state.jobs.concept
  t.match(decision.state.jobs.concept, { status: 'queued', attempt: 2, jobId, dueAt: LATER })
  t.same(namesOf(decision), [])
})

t.test('a failed job that is started anew begins again, and its neighbours stay failed', async (t) => {
  const state = chapterWith({ concept: FAILED, quiz: FAILED, exercise: FAILED }, { status: 'failed' })
  const { jobs, status } = decideOn(state, RESTART, at(LATER)).state
  t.equal(status, 'processing')
  t.match(jobs, { concept: { status: 'queued', attempt: 1 }, quiz: { status: 'failed' } })
})

t.test('a retry that names jobs starts those and no others, and each of them once', async (t) => {
  const jobIds = {
    concept: 'aaaaaaaa-0000-4000-8000-000000000001',
    quiz: 'aaaaaaaa-0000-4000-8000-000000000002',
  }
  const failed = {
    concept: { ...FAILED, jobId: jobIds.concept },
    quiz: { ...FAILED, jobId: jobIds.quiz },
  } as const
  const state = chapterWith(failed, { status: 'failed' })
  const command = { type: 'retry', chapterId: 1, jobIds: [jobIds.quiz] } as const
  const decision = decideOn(state, command, at(LATER))
  t.match(decision.state.jobs, { concept: { status: 'failed' }, quiz: { status: 'queued', attempt: 1 } })
  t.throws(() => decide(decision.state, command, at(LATER)), { code: 'wrong_state' })
})
