import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { WrongStateError } from '../../src/errors.js'
import {
  at,
  CANCELLED,
  COMPLETED,
  chapterWith,
  created,
  decideOn,
  expireOf,
  FAILED,
  failOf,
  finishOf,
  holdExpiredOf,
  MINUTE_MS,
  NOON,
  namesOf,
  payloadOf,
  progressOf,
  QUEUED,
  startOf,
} from '../support/chapters.js'

const RETRY = { type: 'retry', chapterId: 1 } as const
const CANCEL = { type: 'cancel', chapterId: 1 } as const

const ENDED = {
  completed: chapterWith(
    { concept: COMPLETED, exercise: COMPLETED, quiz: COMPLETED },
    { status: 'completed', progress: 100, completedAt: NOON },
  ),
  failed: chapterWith(
    { concept: FAILED, exercise: COMPLETED, quiz: FAILED },
    { status: 'failed', progress: 40 },
  ),
  cancelled: chapterWith(
    { concept: CANCELLED, exercise: COMPLETED, quiz: FAILED },
    { status: 'cancelled', progress: 40 },
  ),
}

t.test('a new chapter says so, asks for its three parts, and has nothing behind it', async (t) => {
  const { state, events } = created({ quizCount: 3 })
  t.same(
    events.map(({ name, payload: { message, ...payload } }) => [name, payload]),
    [
      ['chapter_processing_started', { title: '변수와 자료형', status: 'processing_started', ...logged(1) }],
      ['concept_processing', { concept_id: 11, status: 'processing', ...logged(2) }],
      ['exercise_processing', { exercise_id: 12, status: 'processing', ...logged(3) }],
      ['quiz_processing', { quiz_count: 3, status: 'processing', ...logged(4) }],
    ].map(([name, payload]) => [name, { chapter_id: 1, ...(payload as object) }]),
  )
  t.match(state, { version: 1, lastSeq: 4, status: 'processing', progress: 0, completedAt: null })
  const jobs = JOB_KINDS.map((kind) => state.jobs[kind])
  for (const [index, job] of jobs.entries())
    t.match(job, {
      kind: JOB_KINDS[index],
      status: 'queued',
      attempt: 1,
      maxAttempts: 3,
      dueAt: NOON,
      deadlineAt: null,
    })
  t.equal(new Set(jobs.map(({ jobId }) => jobId)).size, 3, 'each job has an id of its own')
})

t.test('the last part to be stored completes the chapter, whichever it is', async (t) => {
  for (const last of JOB_KINDS) {
    const done = Object.fromEntries(
      JOB_KINDS.filter((kind) => kind !== last).map((kind) => [kind, COMPLETED]),
    )
    const decision = decideOn(chapterWith(done, { progress: 66 }), finishOf(last), at(NOON + 1))
    t.same(namesOf(decision), [`${last}_completed`, 'all_completed'])
    t.match(decision.state, { status: 'completed', progress: 100, completedAt: NOON + 1, lastSeq: 6 })
    t.match(decision.state.latestProgress, { progress: 100 })
    t.match(decision.results, [{ kind: last }])
  }
})

t.test('n quizzes are what the chapter has from then on', async (t) => {
  const quizzes = Array.from({ length: 5 }, () => ({
    question: 'q',
    correct_answer: 'a',
    type: 'short' as const,
  }))
  const command = { type: 'finish', chapterId: 1, named: {}, kind: 'quiz', result: { quizzes } } as const
  const { state, events } = decideOn(chapterWith(), command)
  t.equal(state.quizCount, 5)
  t.match(events, [{ name: 'quiz_completed', payload: { quiz_count: 5 } }])
})

t.test('a chapter whose last running part fails has failed, and says which parts did', async (t) => {
  const state = chapterWith({ concept: FAILED, exercise: COMPLETED })
  const decision = decideOn(state, failOf('quiz', { retryable: false, error: 'refused to' }))
  t.same(namesOf(decision), ['quiz_failed', 'chapter_failed'])
  t.match(payloadOf(decision, 'quiz_failed'), {
    status: 'failed',
    attempt: 1,
    reason: 'model_error',
    error: 'refused to',
  })
  t.same(payloadOf(decision, 'chapter_failed').failed, ['concept', 'quiz'])
  t.equal(decision.state.status, 'failed')
  t.equal(decision.state.completedAt, null)
})

t.test('while a part still runs, one that failed does not end the chapter', async (t) => {
  for (const running of [{}, QUEUED]) {
    const state = chapterWith({ concept: COMPLETED, exercise: running })
    const decision = decideOn(state, failOf('quiz', { retryable: false }))
    t.same(namesOf(decision), ['quiz_failed'])
    t.equal(decision.state.status, 'processing')
  }
})

t.test('a part that was stored last ends a run in which another failed', async (t) => {
  const state = chapterWith({ concept: FAILED, exercise: COMPLETED })
  const decision = decideOn(state, finishOf('quiz'))
  t.same(namesOf(decision), ['quiz_completed', 'chapter_failed'])
  t.same(payloadOf(decision, 'chapter_failed').failed, ['concept'])
})

t.test('a late result after the chapter failed is kept, without failing it again', async (t) => {
  const first = decideOn(ENDED.failed, finishOf('concept'))
  t.equal(first.reply.status, 'success')
  t.same(namesOf(first), ['concept_completed'])
  t.equal(first.state.status, 'failed')
  t.match(first.state.jobs.concept, { reason: null, error: null })
  const last = decideOn(first.state, finishOf('quiz'))
  t.same(namesOf(last), ['quiz_completed', 'all_completed'])
  t.match(last.state, { status: 'completed', progress: 100 })
})

t.test(
  'an ended chapter takes nothing that would change it, but a late result after a failure',
  async (t) => {
    const replies: Record<keyof typeof ENDED, [start: string, finish: string]> = {
      completed: ['completed', 'duplicate'],
      failed: ['completed', 'duplicate'],
      cancelled: ['cancelled', 'ignored'],
    }
    for (const [status, [start, finish]] of Object.entries(replies)) {
      const state = ENDED[status as keyof typeof ENDED]
      const commands = [
        ...JOB_KINDS.flatMap((kind) => [
          failOf(kind),
          progressOf(99, { kind }),
          expireOf(state, kind),
          holdExpiredOf(state, kind),
        ]),
        progressOf(99),
        startOf(state, 'exercise'),
        finishOf('exercise'),
      ]
      for (const command of commands) {
        const decision = decideOn(state, command, at(NOON + 60 * MINUTE_MS))
        t.equal(decision.state, state, `${status}: ${command.type} changes nothing`)
        t.same(decision.events, [])
        const reply = decision.reply as { status?: string; reason?: string } | undefined
        if (command.type === 'fail' || command.type === 'progress') t.equal(reply?.status, 'ignored')
        if (command.type === 'start') t.equal(reply?.reason, start)
        if (command.type === 'finish') t.equal(reply?.status, finish)
      }
    }
  },
)

t.test('in a cancelled chapter everything is ignored, late results included', async (t) => {
  for (const kind of JOB_KINDS) {
    t.equal(decideOn(ENDED.cancelled, finishOf(kind)).reply.status, 'ignored')
    t.match(decideOn(ENDED.cancelled, startOf(ENDED.cancelled, kind)).reply, {
      run: false,
      reason: 'cancelled',
    })
  }
})

t.test('a worker hears that going on is useless: when cancelled, or when its part is stored', async (t) => {
  const useless = (state: typeof ENDED.failed, kind?: 'concept' | 'exercise') =>
    decideOn(state, progressOf(50, kind && { kind })).reply.cancelled === true
  t.equal(useless(ENDED.cancelled), true)
  t.equal(useless(ENDED.cancelled, 'concept'), true)
  t.equal(useless(ENDED.completed), true)
  t.equal(useless(ENDED.failed), false, 'a late result still counts')
  t.equal(useless(ENDED.failed, 'concept'), false)
  t.equal(useless(ENDED.failed, 'exercise'), true)
  t.equal(useless(chapterWith({ exercise: COMPLETED }), 'exercise'), true)
  t.equal(useless(chapterWith(), 'exercise'), false)
})

t.test('a retry starts what failed again, and nothing else', async (t) => {
  const later = NOON + MINUTE_MS
  const { reply, state, events, deadLetters } = decideOn(ENDED.failed, RETRY, at(later))
  t.same(
    events.map(({ name }) => name),
    ['chapter_retrying'],
  )
  t.same(reply, {
    ...{ chapter_id: 1, status: 'processing', last_seq: ENDED.failed.lastSeq + 1 },
    restarted: ['concept', 'quiz'],
  })
  t.match(state, { status: 'processing', completedAt: null })
  t.equal(state.jobs.exercise, ENDED.failed.jobs.exercise)
  t.same(deadLetters, [])
  for (const kind of ['concept', 'quiz'] as const) {
    const job = state.jobs[kind]
    t.match(job, {
      status: 'queued',
      attempt: 1,
      requestedAt: later,
      dueAt: later,
      deadlineAt: null,
      reason: null,
      error: null,
    })
    t.match(job, { startedAt: null, lastHeardAt: null, progress: 0 })
    t.not(job.jobId, ENDED.failed.jobs[kind].jobId, 'under a new job id')
  }
  t.not(state.jobs.concept.jobId, state.jobs.quiz.jobId)
})

t.test(
  'a retry begins a new run: progress is where its parts stand, and it can fail once more',
  async (t) => {
    const before = { ...ENDED.failed, progress: 80 }
    const { state } = decideOn(before, RETRY)
    t.equal(state.progress, 33)
    t.match(state.latestProgress, { progress: 33 })
    t.equal(state.progressVersion, state.version)
    const one = decideOn(state, failOf('concept', { named: { attempt: 1 }, retryable: false }))
    t.same(namesOf(one), ['concept_failed'])
    const two = decideOn(one.state, failOf('quiz', { named: { attempt: 1 }, retryable: false }))
    t.same(namesOf(two), ['quiz_failed', 'chapter_failed'])
  },
)

t.test('a retry while other parts still run moves the progress not back', async (t) => {
  const state = chapterWith({ concept: FAILED, exercise: COMPLETED }, { progress: 80 })
  const retried = decideOn(state, RETRY)
  t.same(namesOf(retried), ['chapter_retrying'])
  t.match(retried.state, { status: 'processing', progress: 80 })
  t.equal(retried.state.jobs.quiz, state.jobs.quiz, 'what runs goes on')
})

t.test('a result of the work before a retry still counts', async (t) => {
  const { state } = decideOn(ENDED.failed, RETRY)
  const late = decideOn(state, finishOf('concept', { jobId: ENDED.failed.jobs.concept.jobId, attempt: 3 }))
  t.same(namesOf(late), ['concept_completed'])
  t.equal(late.reply.status, 'success')
})

t.test('there is nothing to retry where nothing failed, or after a cancel', async (t) => {
  for (const state of [chapterWith(), ENDED.completed, ENDED.cancelled, created().state])
    t.throws(() => decideOn(state, RETRY), WrongStateError)
})

t.test('a cancel stops what runs, keeps what is stored, and is the last word', async (t) => {
  const state = chapterWith({ concept: QUEUED, quiz: COMPLETED })
  const decision = decideOn(state, CANCEL)
  t.same(namesOf(decision), ['chapter_cancelled'])
  t.same(decision.reply, { chapter_id: 1, status: 'cancelled', last_seq: 5, already: false })
  const { concept, exercise, quiz } = decision.state.jobs
  t.same([concept.status, exercise.status, quiz.status], ['cancelled', 'cancelled', 'completed'])
  t.same([concept.deadlineAt, exercise.deadlineAt], [null, null])
  t.equal(decision.state.completedAt, null)

  const again = decideOn(decision.state, CANCEL)
  t.equal(again.state, decision.state)
  t.match(again.reply, { status: 'cancelled', last_seq: 5, already: true })
  t.throws(() => decideOn(decision.state, RETRY), WrongStateError)
})

t.test('only a chapter that is being generated can be cancelled', async (t) => {
  for (const state of [ENDED.completed, ENDED.failed])
    t.throws(() => decideOn(state, CANCEL), WrongStateError)
})

function logged(seq: number) {
  return { seq, at: '2026-01-31T12:00:00.000Z' }
}
