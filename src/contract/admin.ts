/**
 * What operators may see and do: `/v1/admin/`. Role `admin`; without client authentication only from the machine itself.
 * `admin/routes.ts` has the routes.
 *
 * Lists are read page by page: give `next_cursor` back as `cursor`, with the same filters, until it is null. A request
 * looks at a bounded number of rows. So with filters a page may be short, or empty, although another one follows.
 *
 * Every act (POST and DELETE) is in the audit log: written before it is done, and its outcome afterwards.
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { ChapterSummary } from './chapter.js'
import { LoggedEvent } from './event.js'
import { GenerationMessage } from './generation.js'
import {
  AttemptView,
  ConceptView,
  ExerciseView,
  FAILURE_REASONS,
  JOB_KINDS,
  JOB_STATUSES,
  JobError,
  JobView,
  QuizView,
} from './job.js'
import { DELIVERY_STATUSES, NOTICE_TYPES } from './notice.js'
import { RevisionSummary } from './revision.js'
import { Id, Instant, MAX_ID, nullable, Percent, Seq, stringEnum } from './scalar.js'

export const ADMIN_LIMIT_MAX = 100
export const ADMIN_LIMIT_DEFAULT = 50

const uuid = (description?: string) =>
  Type.String({ format: 'uuid', ...(description === undefined ? {} : { description }) })
const instant = (description: string) => Type.String({ ...Instant, description })
const count = (description: string) => Type.Integer({ minimum: 0, maximum: MAX_ID, description })
const seconds = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: 31_536_000, description }))

const paging = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: ADMIN_LIMIT_MAX, default: ADMIN_LIMIT_DEFAULT })),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 300 })),
}
const nextCursor = nullable(
  Type.String({ description: 'Give it back as `cursor` for the next page; null on the last' }),
)
const listOf = <Item extends TSchema>(item: Item, example: object) =>
  Type.Object(
    { items: Type.Array(item), next_cursor: nextCursor },
    { examples: [{ items: [example], next_cursor: null }] },
  )

const CHAPTER_ID = 17
const JOB_ID = '4a4aef0c-3b36-4f3f-9d1e-7d3c0d9a2a51'

// Stuck.

/** Why a job does not go on; the first that is true is told. */
export const STUCK_REASONS = {
  waiting_for_retry: 'its last attempt failed; the next one is sent at `until_at`',
  paused: 'an operator paused its kind',
  window_full: 'it waits for a place in the window, after `waiting_before` others',
  not_published: 'it is due but not sent: the queue is away, or no node has room',
  no_worker_started: 'it was sent and no worker has begun',
  silent: 'a worker began and was not heard since',
} as const
export type StuckWhy = keyof typeof STUCK_REASONS
export const STUCK_WHYS = Object.keys(STUCK_REASONS) as StuckWhy[]

const stuckWhy = stringEnum(
  STUCK_WHYS,
  Object.entries(STUCK_REASONS)
    .map(([why, about]) => `\`${why}\`: ${about}`)
    .join('; '),
)

export const StuckQuery = Type.Object({
  kind: Type.Optional(stringEnum(JOB_KINDS)),
  owner_id: Type.Optional(Id),
  course_id: Type.Optional(Id),
  why: Type.Optional(stuckWhy),
  unsent_s: seconds(
    '`paused`, `window_full`, `not_published`: only when it has been due for so long. Default 15',
  ),
  unstarted_s: seconds('`no_worker_started`: only when it was sent so long ago. Default 60'),
  silent_s: seconds('`silent`: only when it was not heard for so long. Default: `GENERATION_HEARTBEAT_MS`'),
  ...paging,
})
export type StuckQuery = Static<typeof StuckQuery>

export const StuckJob = Type.Object({
  chapter_id: Id,
  course_id: Id,
  owner_id: Id,
  title: Type.String(),
  kind: stringEnum(JOB_KINDS),
  job_id: uuid(),
  status: stringEnum(JOB_STATUSES),
  attempt: Type.Integer({ minimum: 1 }),
  max_attempts: Type.Integer({ minimum: 1 }),
  progress: Percent,
  requested_at: instant('When this job was asked for, whatever its attempt'),
  why: stuckWhy,
  since_at: instant(
    'Since when: due, sent, or last heard; of `waiting_for_retry` when the attempt before ended, as far as known',
  ),
  until_at: nullable(
    instant('When something happens by itself: the next attempt is due, or the deadline ends this one'),
  ),
  waiting_before: nullable(
    Type.Integer({
      minimum: 0,
      description: '`window_full`: as many are given a place before it, up to 1,000',
    }),
  ),
  error: nullable(JobError),
})
export type StuckJob = Static<typeof StuckJob>

const STUCK_EXAMPLE = {
  chapter_id: CHAPTER_ID,
  course_id: 1,
  owner_id: 1,
  title: '변수와 자료형',
  kind: 'quiz',
  job_id: JOB_ID,
  status: 'published',
  attempt: 2,
  max_attempts: 3,
  progress: 40,
  requested_at: '2026-01-31T09:00:00.000Z',
  why: 'silent',
  since_at: '2026-01-31T09:04:10.120Z',
  until_at: '2026-01-31T09:14:10.120Z',
  waiting_before: null,
  error: { reason: 'timeout', message: null },
}
export const StuckList = listOf(StuckJob, STUCK_EXAMPLE)
export type StuckList = Static<typeof StuckList>

// Dead letters.

const failureFilter = {
  owner_id: Type.Optional(Id),
  course_id: Type.Optional(Id),
  kind: Type.Optional(stringEnum(JOB_KINDS)),
  reason: Type.Optional(stringEnum(FAILURE_REASONS)),
  from: Type.Optional(instant('Failed then or later')),
  to: Type.Optional(instant('Failed before that')),
}

export const DeadLetterQuery = Type.Object({ ...failureFilter, ...paging })
export type DeadLetterQuery = Static<typeof DeadLetterQuery>

export const DeadLetterView = Type.Object(
  {
    chapter_id: Id,
    course_id: Id,
    owner_id: Id,
    title: Type.String(),
    kind: stringEnum(JOB_KINDS),
    job_id: uuid('What a redrive names it by'),
    attempt: Type.Integer({ minimum: 1, description: 'The last one' }),
    max_attempts: Type.Integer({ minimum: 1 }),
    failed_at: instant('When it failed for good'),
    reason: nullable(stringEnum(FAILURE_REASONS)),
    error: nullable(Type.String()),
    attempts: Type.Array(AttemptView, {
      description: 'What came back: attempts that have ended, oldest first',
    }),
    message: Type.Unsafe<GenerationMessage>({
      ...GenerationMessage,
      description: 'What was asked: the message of the last attempt',
    }),
  },
  { description: 'A job that failed for good and stands so; one that is tried again is no longer here' },
)
export type DeadLetterView = Static<typeof DeadLetterView>

const ATTEMPT_EXAMPLE = {
  revision: 1,
  attempt: 3,
  job_id: JOB_ID,
  started_at: '2026-01-31T09:10:01.000Z',
  ended_at: '2026-01-31T09:12:44.310Z',
  outcome: 'failed',
  reason: 'invalid_result',
  error: '/quizzes/0/correct_answer is none of the options',
}
const CALLBACK_EXAMPLE = (path: string) =>
  `http://localhost:8000/v1/chapter/${CHAPTER_ID}/${path}?job_id=${JOB_ID}&attempt=3`

const DEAD_LETTER_EXAMPLE = {
  chapter_id: CHAPTER_ID,
  course_id: 1,
  owner_id: 1,
  title: '변수와 자료형',
  kind: 'quiz',
  job_id: JOB_ID,
  attempt: 3,
  max_attempts: 3,
  failed_at: '2026-01-31T09:12:44.310Z',
  reason: 'invalid_result',
  error: '/quizzes/0/correct_answer is none of the options',
  attempts: [ATTEMPT_EXAMPLE],
  message: {
    job_id: JOB_ID,
    kind: 'quiz',
    attempt: 3,
    max_attempts: 3,
    chapter_id: CHAPTER_ID,
    course_id: 1,
    owner_id: 1,
    title: '변수와 자료형',
    description: 'Python 기초',
    locale: 'ko',
    quiz_count: 3,
    metadata: {},
    requested_at: '2026-01-31T09:00:00.000Z',
    deadline_at: '2026-01-31T09:12:44.310Z',
    previous: null,
    revision: 1,
    instruction: null,
    current: null,
    callback: {
      start_url: CALLBACK_EXAMPLE('quiz-start'),
      finish_url: CALLBACK_EXAMPLE('quiz-finish'),
      fail_url: CALLBACK_EXAMPLE('quiz-fail'),
      progress_url: CALLBACK_EXAMPLE('progress'),
      partial_url: CALLBACK_EXAMPLE('quiz-partial'),
    },
  },
}
export const DeadLetterList = listOf(DeadLetterView, DEAD_LETTER_EXAMPLE)
export type DeadLetterList = Static<typeof DeadLetterList>

// Redrives.

export const REDRIVE_IDS_MAX = 1000
export const REDRIVE_RATE_DEFAULT = 10

export const RedriveFilter = Type.Object(failureFilter, {
  additionalProperties: false,
  description: 'As the list of dead letters takes it; `{}` is all of them',
})
export type RedriveFilter = Static<typeof RedriveFilter>

export const RedriveRequest = Type.Object(
  {
    filter: Type.Optional(RedriveFilter),
    ids: Type.Optional(
      Type.Array(uuid(), {
        minItems: 1,
        maxItems: REDRIVE_IDS_MAX,
        description: 'The `job_id` of each dead letter that is to be redriven',
      }),
    ),
    rate_per_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        default: REDRIVE_RATE_DEFAULT,
        description: 'Jobs a second',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000_000, description: 'So many jobs at most; default: all' }),
    ),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    description:
      'Either `filter` or `ids`. Each job that failed before the request is tried again once, from attempt 1',
    examples: [{ filter: { kind: 'quiz', reason: 'unavailable' }, rate_per_s: 10, limit: 1000 }],
  },
)
export type RedriveRequest = Static<typeof RedriveRequest>

export const REDRIVE_STATUSES = ['running', 'done', 'cancelled'] as const
export type RedriveStatus = (typeof REDRIVE_STATUSES)[number]

export const Redrive = Type.Object(
  {
    redrive_id: Id,
    status: stringEnum(REDRIVE_STATUSES),
    filter: Type.Unsafe<RedriveFilter | null>({
      ...RedriveFilter,
      type: ['object', 'null'],
      description: 'As it was asked for; null with `ids`',
    }),
    ids: nullable(Type.Array(uuid(), { description: 'As they were asked for; null with `filter`' })),
    rate_per_s: Type.Integer({ minimum: 1 }),
    limit: nullable(Type.Integer({ minimum: 1 })),
    actor: Type.String({ description: 'Who asked for it, as in the audit log' }),
    created_at: Instant,
    ended_at: nullable(instant('When it was done or cancelled')),
    redriven: count('Jobs that were started again'),
    skipped: count(
      'Jobs that no longer stood failed when their turn came, or whose chapter is cancelled or gone',
    ),
    last_error: nullable(
      Type.String({ description: 'Why it last stood still, as long as it does; it goes on by itself' }),
    ),
  },
  {
    description: 'If the node that began it dies, another one continues. Each job is counted once',
    examples: [
      {
        redrive_id: 4,
        status: 'running',
        filter: { kind: 'quiz', reason: 'unavailable' },
        ids: null,
        rate_per_s: 10,
        limit: 1000,
        actor: 'loopback',
        created_at: '2026-01-31T10:00:00.000Z',
        ended_at: null,
        redriven: 120,
        skipped: 2,
        last_error: null,
      },
    ],
  },
)
export type Redrive = Static<typeof Redrive>

export const RedriveList = listOf(Redrive, Redrive.examples?.[0] as object)
export type RedriveList = Static<typeof RedriveList>
export const RedriveListQuery = Type.Object(paging)
export const RedriveParams = Type.Object({ id: Id })

// Kinds.

export const AdminKindParams = Type.Object({ kind: stringEnum(JOB_KINDS) })

const NOTE_MAX = 500
const note = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: NOTE_MAX, description }))

export const PauseRequest = Type.Object(
  { reason: note('Shown in the audit log') },
  { additionalProperties: false, examples: [{ reason: 'The model is being replaced' }] },
)
export type PauseRequest = Static<typeof PauseRequest>

export const KindState = Type.Object(
  {
    kind: stringEnum(JOB_KINDS),
    is_paused: Type.Boolean({ description: 'Nothing of it is sent, by no node; what comes back is taken' }),
    paused_at: nullable(Instant),
    paused_by: nullable(Type.String()),
    reason: nullable(Type.String()),
    queued: count('Jobs that wait to be sent'),
    published: count('Jobs that are with workers'),
  },
  {
    examples: [
      {
        kind: 'quiz',
        is_paused: true,
        paused_at: '2026-01-31T09:30:00.000Z',
        paused_by: 'loopback',
        reason: 'The model is being replaced',
        queued: 42,
        published: 3,
      },
    ],
  },
)
export type KindState = Static<typeof KindState>

export const KindList = Type.Object({ kinds: Type.Array(KindState) })
export type KindList = Static<typeof KindList>

// Deliveries.

export const DeliveryQuery = Type.Object({
  state: Type.Optional(stringEnum(DELIVERY_STATUSES)),
  chapter_id: Type.Optional(Id),
  ...paging,
})
export type DeliveryQuery = Static<typeof DeliveryQuery>

export const DeliveryParams = Type.Object({
  chapter_id: Id,
  seq: Type.Integer({ minimum: 1, maximum: MAX_ID }),
})

export const DeliveryView = Type.Object(
  {
    chapter_id: Id,
    seq: Type.Integer({ minimum: 1, description: 'Of the event that ended the run' }),
    course_id: Id,
    owner_id: Id,
    type: stringEnum(NOTICE_TYPES),
    state: stringEnum(DELIVERY_STATUSES, '`failed`: given up; an operator may have it sent again'),
    ended_at: instant('When the run ended'),
    attempts: count('How often it was sent, since it was last asked for'),
    due_at: nullable(instant('While it is pending: when it is sent next')),
    give_up_at: instant('It is not tried after that'),
    last_status: nullable(Type.Integer({ description: 'HTTP status of the last answer' })),
    last_error: nullable(Type.String()),
    delivered_at: nullable(Instant),
    failed_at: nullable(Instant),
  },
  {
    examples: [
      {
        chapter_id: CHAPTER_ID,
        seq: 12,
        course_id: 1,
        owner_id: 1,
        type: 'chapter.completed',
        state: 'failed',
        ended_at: '2026-01-31T09:12:44.310Z',
        attempts: 31,
        due_at: null,
        give_up_at: '2026-02-01T09:12:45.000Z',
        last_status: 500,
        last_error: 'the receiver answered 500',
        delivered_at: null,
        failed_at: '2026-02-01T09:01:12.000Z',
      },
    ],
  },
)
export type DeliveryView = Static<typeof DeliveryView>

export const DeliveryList = listOf(DeliveryView, DeliveryView.examples?.[0] as object)
export type DeliveryList = Static<typeof DeliveryList>

// By hand.

export const EndRequest = Type.Object(
  {
    reason: Type.Optional(stringEnum(FAILURE_REASONS, 'As a worker would give it. Default `timeout`')),
    error: note('What is kept of it. Default: that an operator ended the attempt'),
    retryable: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'False: the job fails for good, whatever attempts are left',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ reason: 'timeout', error: 'The worker hangs' }] },
)
export type EndRequest = Static<typeof EndRequest>

/** 202 of `end` and `restart`: where the job stands afterwards. */
export const AdminAccepted = Type.Object(
  {
    chapter_id: Id,
    kind: stringEnum(JOB_KINDS),
    message: Type.String({ description: 'What was done' }),
    job: JobView,
    last_seq: Seq,
  },
  {
    examples: [
      {
        chapter_id: CHAPTER_ID,
        kind: 'quiz',
        message: 'quiz is tried again',
        job: {
          kind: 'quiz',
          job_id: JOB_ID,
          status: 'queued',
          attempt: 3,
          max_attempts: 3,
          progress: 0,
          requested_at: '2026-01-31T09:00:00.000Z',
          started_at: null,
          last_heard_at: null,
          deadline_at: null,
          error: { reason: 'timeout', message: 'The worker hangs' },
          revision: 1,
          content_revision: null,
          history: [],
        },
        last_seq: 9,
      },
    ],
  },
)
export type AdminAccepted = Static<typeof AdminAccepted>

// Audit.

export const AUDIT_ACTIONS = [
  'pause',
  'resume',
  'redrive',
  'cancel_redrive',
  'retry',
  'resend',
  'end',
  'restart',
] as const
export type AuditAction = (typeof AUDIT_ACTIONS)[number]

export const AUDIT_OUTCOMES = ['begun', 'done', 'refused', 'failed'] as const
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number]

export const AuditQuery = Type.Object({
  action: Type.Optional(stringEnum(AUDIT_ACTIONS)),
  chapter_id: Type.Optional(Id),
  actor: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  ...paging,
})
export type AuditQuery = Static<typeof AuditQuery>

export const AuditEntry = Type.Object(
  {
    audit_id: Id,
    at: Instant,
    actor: Type.String({ description: 'The token’s `sub`; `loopback` without client authentication' }),
    action: stringEnum(AUDIT_ACTIONS, '`retry`: one chapter of a redrive, which `details` names'),
    chapter_id: nullable(Id),
    kind: nullable(stringEnum(JOB_KINDS)),
    details: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      description: 'What was asked besides: the filter of a redrive, the `seq` of a notice, the reason',
    }),
    request_id: Type.String({ description: 'As in the log and in `X-Request-Id`' }),
    outcome: stringEnum(
      AUDIT_OUTCOMES,
      '`begun`: written before the act. It stays so only if the node died in the middle: the act may be done or not',
    ),
    problem: nullable(Type.String({ description: 'Why it was refused or failed' })),
  },
  {
    examples: [
      {
        audit_id: 31,
        at: '2026-01-31T10:00:00.000Z',
        actor: 'loopback',
        action: 'end',
        chapter_id: CHAPTER_ID,
        kind: 'quiz',
        details: { reason: 'timeout', error: 'The worker hangs' },
        request_id: '0b9a4f86-5c1e-4d0e-8a11-00000000002a',
        outcome: 'done',
        problem: null,
      },
    ],
  },
)
export type AuditEntry = Static<typeof AuditEntry>

export const AuditList = listOf(AuditEntry, AuditEntry.examples?.[0] as object)
export type AuditList = Static<typeof AuditList>

// One chapter.

/** More of a chapter’s log, and of what was done to it, is not in its story. */
export const STORY_EVENTS_MAX = 500
export const STORY_ENTRIES_MAX = 100

export const AdminChapterQuery = Type.Object({
  answers: Type.Optional(
    Type.Boolean({ default: false, description: 'Also the answers of exercise and quiz' }),
  ),
})

export const AdminJob = Type.Object({
  ...JobView.properties,
  due_at: instant('While it is queued: it is not sent before'),
  lease_ends_at: nullable(instant('Until then one node has it, to send it or to end it')),
  hold_ends_at: nullable(instant('Until then one node has it out with a worker of its own, and renews that')),
  placed_at: nullable(instant('While it is queued: when it was given a place in the window')),
  why: nullable(stuckWhy),
})
export type AdminJob = Static<typeof AdminJob>

export const AdminChapter = Type.Object(
  {
    chapter: ChapterSummary,
    jobs: Type.Array(AdminJob, { description: 'With `history`: the attempts that have ended, oldest first' }),
    content: Type.Object(
      { concept: ConceptView, exercise: ExerciseView, quizzes: Type.Array(QuizView) },
      { description: 'What there is now' },
    ),
    revisions: Type.Object(
      {
        concept: Type.Array(RevisionSummary),
        exercise: Type.Array(RevisionSummary),
        quiz: Type.Array(RevisionSummary),
      },
      {
        description:
          'Of each kind those that have content; one with it: `GET /v1/chapter/{id}/{kind}/revisions/{n}`',
      },
    ),
    events: Type.Array(LoggedEvent, {
      description: `The log, oldest first; of a longer one the last ${STORY_EVENTS_MAX}`,
    }),
    is_log_expired: Type.Boolean({ description: 'The log was deleted after its retention' }),
    deliveries: Type.Array(DeliveryView, { description: 'Notices of its ends, the latest first' }),
    dead_letters: Type.Array(DeadLetterView, { description: 'Its jobs that stand failed' }),
    audit: Type.Array(AuditEntry, {
      description: `What operators did to it, the latest first; at most ${STORY_ENTRIES_MAX}`,
    }),
  },
  { description: 'The whole story of one chapter' },
)
export type AdminChapter = Static<typeof AdminChapter>
