import t from 'tap'
import type { ChapterState, JobState } from '../../src/domain/chapter.js'
import type { ChapterCommand } from '../../src/domain/command.js'
import { decide } from '../../src/domain/decide.js'
import {
  actionOf,
  JOB_INPUTS,
  JOB_STANDINGS,
  type JobInput,
  type JobStanding,
  MATCHES,
  matchOf,
} from '../../src/domain/job-table.js'
import {
  at,
  CANCELLED,
  COMPLETED,
  chapterWith,
  FAILED,
  failOf,
  finishOf,
  MINUTE_MS,
  NOON,
  POLICY,
  progressOf,
  QUEUED,
  STARTED,
} from '../support/chapters.js'

/**
 * What happens to a concept in its second of three attempts, exercise and quiz being under way: from
 * what clients and workers are promised, not from the code. `names`: whether the input names the current work, other work
 * (an earlier attempt, another job id: both are tried) or none; `earlier`: another job id, of a concept that is written
 * for the second time. `kept`: that failed, and what there was stays. `after`: the job’s status; `=` when nothing at all
 * changes, the same status when something else does. The chapter is over where it is to be written again.
 */
const TABLE = `
status    | input        | names   | after     | events                             | reply
queued    | start        | current | published | concept_started                    | run
queued    | start        | other   | =         |                                    | superseded
queued    | finish       | current | completed | concept_completed                  | success
queued    | finish       | other   | completed | concept_completed                  | success
queued    | finish       | unnamed | completed | concept_completed                  | success
queued    | fail         | current | queued    | concept_retrying                   | success
queued    | fail         | other   | =         |                                    | ignored
queued    | fail         | unnamed | =         |                                    | ignored
queued    | progress     | current | published | concept_started                    | success
queued    | progress     | other   | =         |                                    | ignored
queued    | progress     | unnamed | queued    |                                    | success
queued    | expire       | current | =         |                                    |
queued    | expire       | other   | =         |                                    |
queued    | hold_expired | current | =         |                                    |
queued    | hold_expired | other   | =         |                                    |
queued    | retry        | unnamed | =         |                                    | 409
queued    | restart      | unnamed | =         |                                    | restarted
queued    | cancel       | unnamed | cancelled | chapter_cancelled                  | cancelled
queued    | start        | earlier | =         |                                    | superseded
queued    | finish       | earlier | =         |                                    | duplicate
queued    | fail         | earlier | =         |                                    | ignored
queued    | progress     | earlier | =         |                                    | ignored
queued    | expire       | earlier | =         |                                    |
queued    | hold_expired | earlier | =         |                                    |
queued    | regenerate   | unnamed | =         |                                    | 409
published | start        | current | published | concept_started                    | run
published | start        | other   | =         |                                    | superseded
published | finish       | current | completed | concept_completed                  | success
published | finish       | other   | completed | concept_completed                  | success
published | finish       | unnamed | completed | concept_completed                  | success
published | fail         | current | queued    | concept_retrying                   | success
published | fail         | other   | =         |                                    | ignored
published | fail         | unnamed | queued    | concept_retrying                   | success
published | progress     | current | published | concept_started                    | success
published | progress     | other   | =         |                                    | ignored
published | progress     | unnamed | published | concept_started                    | success
published | expire       | current | queued    | concept_timeout, concept_retrying  |
published | expire       | other   | =         |                                    |
published | hold_expired | current | queued    |                                    |
published | hold_expired | other   | =         |                                    |
published | retry        | unnamed | =         |                                    | 409
published | restart      | unnamed | queued    | concept_retrying                   | restarted
published | cancel       | unnamed | cancelled | chapter_cancelled                  | cancelled
published | start        | earlier | =         |                                    | superseded
published | finish       | earlier | =         |                                    | duplicate
published | fail         | earlier | =         |                                    | ignored
published | progress     | earlier | =         |                                    | ignored
published | expire       | earlier | =         |                                    |
published | hold_expired | earlier | =         |                                    |
published | regenerate   | unnamed | =         |                                    | 409
completed | start        | current | =         |                                    | completed
completed | start        | other   | =         |                                    | completed
completed | finish       | current | =         |                                    | duplicate
completed | finish       | other   | =         |                                    | duplicate
completed | finish       | unnamed | =         |                                    | duplicate
completed | fail         | current | =         |                                    | ignored
completed | fail         | other   | =         |                                    | ignored
completed | fail         | unnamed | =         |                                    | ignored
completed | progress     | current | =         |                                    | ignored, useless
completed | progress     | other   | =         |                                    | ignored, useless
completed | progress     | unnamed | =         |                                    | ignored, useless
completed | expire       | current | =         |                                    |
completed | expire       | other   | =         |                                    |
completed | hold_expired | current | =         |                                    |
completed | hold_expired | other   | =         |                                    |
completed | retry        | unnamed | =         |                                    | 409
completed | restart      | unnamed | =         |                                    | 409
completed | cancel       | unnamed | completed | chapter_cancelled                  | cancelled
completed | start        | earlier | =         |                                    | completed
completed | finish       | earlier | =         |                                    | duplicate
completed | fail         | earlier | =         |                                    | ignored
completed | progress     | earlier | =         |                                    | ignored, useless
completed | expire       | earlier | =         |                                    |
completed | hold_expired | earlier | =         |                                    |
completed | regenerate   | unnamed | queued    | concept_regenerating               | regenerating
kept      | start        | current | =         |                                    | superseded
kept      | start        | other   | =         |                                    | superseded
kept      | start        | earlier | =         |                                    | superseded
kept      | finish       | current | completed | concept_completed                  | success
kept      | finish       | other   | completed | concept_completed                  | success
kept      | finish       | earlier | =         |                                    | duplicate
kept      | finish       | unnamed | =         |                                    | duplicate
kept      | fail         | current | =         |                                    | ignored
kept      | fail         | other   | =         |                                    | ignored
kept      | fail         | earlier | =         |                                    | ignored
kept      | fail         | unnamed | =         |                                    | ignored
kept      | progress     | current | =         |                                    | ignored, useless
kept      | progress     | other   | =         |                                    | ignored, useless
kept      | progress     | earlier | =         |                                    | ignored, useless
kept      | progress     | unnamed | =         |                                    | ignored, useless
kept      | expire       | current | =         |                                    |
kept      | expire       | other   | =         |                                    |
kept      | expire       | earlier | =         |                                    |
kept      | hold_expired | current | =         |                                    |
kept      | hold_expired | other   | =         |                                    |
kept      | hold_expired | earlier | =         |                                    |
kept      | retry        | unnamed | =         |                                    | 409
kept      | restart      | unnamed | =         |                                    | 409
kept      | cancel       | unnamed | completed | chapter_cancelled                  | cancelled
kept      | regenerate   | unnamed | queued    | concept_regenerating               | regenerating
failed    | start        | current | =         |                                    | superseded
failed    | start        | other   | =         |                                    | superseded
failed    | finish       | current | completed | concept_completed                  | success
failed    | finish       | other   | completed | concept_completed                  | success
failed    | finish       | unnamed | completed | concept_completed                  | success
failed    | fail         | current | =         |                                    | ignored
failed    | fail         | other   | =         |                                    | ignored
failed    | fail         | unnamed | =         |                                    | ignored
failed    | progress     | current | =         |                                    | ignored
failed    | progress     | other   | =         |                                    | ignored
failed    | progress     | unnamed | =         |                                    | ignored
failed    | expire       | current | =         |                                    |
failed    | expire       | other   | =         |                                    |
failed    | hold_expired | current | =         |                                    |
failed    | hold_expired | other   | =         |                                    |
failed    | retry        | unnamed | queued    | chapter_retrying                   | retrying
failed    | restart      | unnamed | queued    | chapter_retrying                   | restarted
failed    | cancel       | unnamed | failed    | chapter_cancelled                  | cancelled
failed    | start        | earlier | =         |                                    | superseded
failed    | finish       | earlier | =         |                                    | ignored
failed    | fail         | earlier | =         |                                    | ignored
failed    | progress     | earlier | =         |                                    | ignored
failed    | expire       | earlier | =         |                                    |
failed    | hold_expired | earlier | =         |                                    |
failed    | regenerate   | unnamed | queued    | concept_regenerating               | regenerating
cancelled | start        | current | =         |                                    | cancelled
cancelled | start        | other   | =         |                                    | cancelled
cancelled | finish       | current | =         |                                    | ignored
cancelled | finish       | other   | =         |                                    | ignored
cancelled | finish       | unnamed | =         |                                    | ignored
cancelled | fail         | current | =         |                                    | ignored
cancelled | fail         | other   | =         |                                    | ignored
cancelled | fail         | unnamed | =         |                                    | ignored
cancelled | progress     | current | =         |                                    | ignored, useless
cancelled | progress     | other   | =         |                                    | ignored, useless
cancelled | progress     | unnamed | =         |                                    | ignored, useless
cancelled | expire       | current | =         |                                    |
cancelled | expire       | other   | =         |                                    |
cancelled | hold_expired | current | =         |                                    |
cancelled | hold_expired | other   | =         |                                    |
cancelled | retry        | unnamed | =         |                                    | 409
cancelled | restart      | unnamed | =         |                                    | 409
cancelled | cancel       | unnamed | =         |                                    | already
cancelled | start        | earlier | =         |                                    | cancelled
cancelled | finish       | earlier | =         |                                    | ignored
cancelled | fail         | earlier | =         |                                    | ignored
cancelled | progress     | earlier | =         |                                    | ignored, useless
cancelled | expire       | earlier | =         |                                    |
cancelled | hold_expired | earlier | =         |                                    |
cancelled | regenerate   | unnamed | =         |                                    | 409
`

/** Who can be named: our own inputs and `-start` always name their work, a client’s never do. */
const NAMES: Record<JobInput, readonly (typeof MATCHES)[number][]> = {
  start: ['current', 'other', 'earlier'],
  finish: MATCHES,
  fail: MATCHES,
  progress: MATCHES,
  expire: ['current', 'other', 'earlier'],
  hold_expired: ['current', 'other', 'earlier'],
  retry: ['unnamed'],
  restart: ['unnamed'],
  cancel: ['unnamed'],
  regenerate: ['unnamed'],
}

interface Row {
  status: JobStanding
  input: JobInput
  names: (typeof MATCHES)[number]
  after: string
  events: string[]
  reply: string
}

const rows = TABLE.trim()
  .split('\n')
  .slice(1)
  .map((line): Row => {
    const [status, input, names, after, events, reply] = line.split('|').map((cell) => cell.trim())
    return { status, input, names, after, events: events ? events.split(', ') : [], reply } as Row
  })

/** Every deadline that the states below have is over. */
const LATER = NOON + 60 * MINUTE_MS

t.test('the table says what every input does to a job in every status, once', async (t) => {
  const cells = rows.map(({ status, input, names }) => `${status} ${input} ${names}`)
  const all = JOB_STANDINGS.flatMap((status) =>
    JOB_INPUTS.flatMap((input) => NAMES[input].map((names) => `${status} ${input} ${names}`)),
  )
  t.same([...cells].sort(), [...all].sort())
})

for (const row of rows) {
  const { status, input, names, after, events, reply } = row
  const outcome = after === '=' ? 'nothing changes' : `it is ${after} (${events.join(', ') || 'no event'})`
  const whose = {
    current: 'its current work',
    other: 'other work',
    earlier: 'an earlier job',
    unnamed: 'no work',
  }[names]
  t.test(`a ${status} job, ${input} naming ${whose}: ${outcome}`, async (t) => {
    const state = input === 'regenerate' ? endedWith(status) : chapterIn(status, names === 'earlier')
    for (const named of works(state, names)) {
      const seen = outcomeOf(state, commandOf(input, named))
      t.same(seen.events, events, 'events')
      t.equal(seen.reply, reply, 'reply')
      t.equal(seen.state === state, after === '=', 'the very same state when nothing changed, and only then')
      const before = status === 'kept' ? 'completed' : status
      t.equal(seen.state.jobs.concept.status, after === '=' ? before : after, 'status')
      t.equal(seen.state.version, after === '=' ? state.version : state.version + 1, 'version')
      t.equal(seen.state.lastSeq, state.lastSeq + events.length, 'seq')
      if (input !== 'cancel')
        for (const other of ['exercise', 'quiz'] as const)
          t.equal(seen.state.jobs[other], state.jobs[other], `${other} is left as it was`)
    }
  })
}

t.test('what names nothing is never taken for the current work where a name is needed', async (t) => {
  for (const status of JOB_STANDINGS)
    for (const input of ['start', 'expire', 'hold_expired'] as const)
      t.equal(actionOf(status, input, 'unnamed'), actionOf(status, input, 'other'), `${status} ${input}`)
})

t.test('work is named by its job id, its attempt or both, in letters of either case', async (t) => {
  const job = { jobId: 'aaaaaaaa-0000-4000-8000-000000000001', attempt: 2 }
  for (const [named, match] of [
    [{}, 'unnamed'],
    [{ jobId: undefined, attempt: undefined }, 'unnamed'],
    [{ jobId: job.jobId }, 'current'],
    [{ jobId: job.jobId.toUpperCase(), attempt: 2 }, 'current'],
    [{ attempt: 2 }, 'current'],
    [{ attempt: 1 }, 'other'],
    [{ attempt: 3 }, 'other'],
    [{ jobId: job.jobId, attempt: 1 }, 'other'],
    [{ jobId: 'aaaaaaaa-0000-4000-8000-000000000002', attempt: 2 }, 'other'],
    [{ jobId: 'aaaaaaaa-0000-4000-8000-000000000002' }, 'other'],
  ] as const)
    t.equal(matchOf(job, named), match, JSON.stringify(named))
})

t.test('a job that started does as one that did not, and its start is told only once', async (t) => {
  const state = chapterWith({ concept: { attempt: 2, ...STARTED } })
  for (const { input, names, after, events, reply } of rows.filter(
    ({ status, names, input }) => status === 'published' && names !== 'earlier' && input !== 'regenerate',
  ))
    for (const named of works(state, names)) {
      const seen = outcomeOf(state, commandOf(input, named))
      const expected = events.filter((name) => name !== 'concept_started')
      t.same([seen.events, seen.reply], [expected, reply], `${input} ${names}`)
      t.equal(seen.state.jobs.concept.status, after === '=' ? 'published' : after, `${input} ${names}`)
    }
})

const KEPT = { ...COMPLETED, revision: 2, keptRevision: 1, reason: 'refused', error: 'no' } as const

const CHANGES: Record<JobStanding, Partial<JobState>> = {
  queued: QUEUED,
  published: {},
  completed: COMPLETED,
  kept: KEPT,
  failed: FAILED,
  cancelled: CANCELLED,
}

function chapterIn(status: JobStanding, isWrittenAgain = false): ChapterState {
  const isRunning = status === 'queued' || status === 'published' || status === 'cancelled'
  const again = isWrittenAgain ? { revision: 2, ...(isRunning ? { keptRevision: 1 } : {}) } : {}
  const concept = { attempt: 2, ...again, ...CHANGES[status] }
  if (status !== 'cancelled') return chapterWith({ concept })
  return chapterWith({ concept, exercise: CANCELLED, quiz: CANCELLED }, { status: 'cancelled' })
}

/** The other parts are written, so the concept’s job says where the chapter stands. */
function endedWith(status: JobStanding): ChapterState {
  const concept = { attempt: 2, ...CHANGES[status] }
  const chapter =
    status === 'queued' || status === 'published' ? 'processing' : status === 'kept' ? 'completed' : status
  const over = chapter === 'completed' ? { progress: 100, completedAt: NOON } : {}
  return chapterWith({ concept, exercise: COMPLETED, quiz: COMPLETED }, { status: chapter, ...over })
}

/** Names of every sort that count as current, as other or as none. */
function works(state: ChapterState, names: Row['names']): { jobId?: string; attempt?: number }[] {
  const { jobId } = state.jobs.concept
  const stranger = 'ffffffff-0000-4000-8000-000000000000'
  if (names === 'current') return [{ jobId, attempt: 2 }]
  if (names === 'unnamed') return [{}]
  if (names === 'earlier') return [{ jobId: stranger, attempt: 2 }, { jobId: stranger }]
  if (state.jobs.concept.revision > 1)
    return [
      { jobId, attempt: 1 },
      { jobId, attempt: 3 },
    ]
  return [
    { jobId, attempt: 1 },
    { jobId, attempt: 3 },
    { jobId: stranger, attempt: 2 },
  ]
}

function commandOf(input: JobInput, named: { jobId?: string; attempt?: number }): ChapterCommand {
  const chapterId = 1
  const work = { chapterId, kind: 'concept', jobId: '', attempt: 0, ...named } as const
  switch (input) {
    case 'start':
    case 'expire':
    case 'hold_expired':
      return { type: input, ...work }
    case 'finish':
      return finishOf('concept', named)
    case 'fail':
      return failOf('concept', { named })
    case 'progress':
      return progressOf(40, { kind: 'concept', named })
    case 'retry':
    case 'cancel':
      return { type: input, chapterId }
    case 'restart':
      return { type: input, chapterId, kind: 'concept' }
    case 'regenerate':
      return { type: input, chapterId, kind: 'concept', instruction: null }
  }
}

function outcomeOf(state: ChapterState, command: ChapterCommand) {
  try {
    const decision = decide(state, command, at(LATER))
    const names = decision.events.map(({ name }) => name)
    return { state: decision.state, events: names, reply: inWords(command, decision.reply) }
  } catch (error) {
    return { state, events: [], reply: String((error as { statusCode?: number }).statusCode ?? error) }
  }
}

function inWords({ type }: ChapterCommand, reply: unknown): string {
  if (reply === undefined) return ''
  const { run, reason, deadline_at, status, cancelled, already } = reply as Record<string, unknown>
  if (type === 'start') {
    const isDated = deadline_at === new Date(LATER + POLICY.timeoutMs).toISOString()
    return run === true ? `run${isDated ? '' : `, but until ${deadline_at}`}` : String(reason)
  }
  if (type === 'regenerate') return status === 'processing' ? 'regenerating' : String(status)
  if (type === 'restart') return 'restarted'
  if (type === 'retry') return status === 'processing' ? 'retrying' : String(status)
  if (type === 'cancel') return already === true ? 'already' : String(status)
  return `${status}${cancelled === true ? ', useless' : ''}`
}
