/**
 * The event catalogue: every event a chapter can have, and its payload.
 * Logged events carry `seq` and `at`; `progress_update` is never logged and carries neither.
 * Socket.IO, SSE, `GET …/events` and the client all derive from here.
 */
import { type Static, type TObject, type TProperties, Type } from '@sinclair/typebox'
import { FAILURE_REASONS, JOB_KINDS, type JobKind } from './job.js'
import { Id, Instant, Percent, Seq, stringEnum } from './scalar.js'

/** @param description when it happens */
function logged<T extends TProperties, S extends string>(status: S, description: string, fields: T) {
  return Type.Object(
    {
      chapter_id: Id,
      ...fields,
      status: Type.Literal(status),
      message: Type.String({
        description: 'For people, in the chapter’s language',
      }),
      seq: Type.Integer({
        minimum: 1,
        description: 'Counts this chapter’s events 1, 2, 3, … without a gap',
      }),
      at: Instant,
    },
    { description },
  )
}

const attempt = Type.Integer({ minimum: 1 })
const failure = {
  reason: stringEnum(FAILURE_REASONS),
  error: Type.Optional(Type.String()),
}

const processing = <T extends TProperties>(fields: T) =>
  logged('processing', 'The job was accepted, with the chapter', fields)
const started = () =>
  logged('started', 'A worker began an attempt: its first `-start`, or progress that names the kind', {
    attempt,
  })
const completed = <T extends TProperties>(fields: T) =>
  logged('completed', 'The result was stored', {
    ...fields,
    revision: Type.Optional(
      Type.Integer({ minimum: 2, description: 'From the second revision on: which one the content is now' }),
    ),
  })
const timeout = () =>
  logged('timeout', 'An attempt had no answer before its deadline', { attempt, max_attempts: attempt })
const retrying = () =>
  logged(
    'retrying',
    'Attempt `attempt` is scheduled: the next one, or the same one again when the model was busy',
    {
      attempt,
      max_attempts: attempt,
      retry_at: Instant,
      ...failure,
    },
  )
const failed = () =>
  logged('failed', 'The attempts are used up, or another one would be useless', {
    attempt,
    ...failure,
    kept: Type.Optional(
      Type.Literal(true, { description: 'Of a regeneration: the content that was there stays' }),
    ),
  })
const regenerating = () =>
  logged('regenerating', 'A client asked for the kind again; a run begins', {
    revision: Type.Integer({ minimum: 2 }),
    instruction: Type.Optional(Type.String()),
  })

/** Every logged event, in the order a chapter usually has them. */
export const EVENTS = {
  chapter_processing_started: logged('processing_started', 'The chapter was saved', {
    title: Type.String(),
  }),
  concept_processing: processing({ concept_id: Id }),
  exercise_processing: processing({ exercise_id: Id }),
  quiz_processing: processing({ quiz_count: Type.Integer() }),
  concept_started: started(),
  exercise_started: started(),
  quiz_started: started(),
  concept_completed: completed({ concept_id: Id }),
  exercise_completed: completed({ exercise_id: Id }),
  quiz_completed: completed({ quiz_count: Type.Integer() }),
  all_completed: logged('all_completed', 'Every kind is stored', {}),
  concept_timeout: timeout(),
  exercise_timeout: timeout(),
  quiz_timeout: timeout(),
  concept_retrying: retrying(),
  exercise_retrying: retrying(),
  quiz_retrying: retrying(),
  concept_failed: failed(),
  exercise_failed: failed(),
  quiz_failed: failed(),
  chapter_failed: logged('failed', 'Nothing runs any more and a kind failed', {
    failed: Type.Array(stringEnum(JOB_KINDS)),
  }),
  chapter_retrying: logged('retrying', 'A client asked for what failed again', {}),
  chapter_cancelled: logged('cancelled', 'A client cancelled it', {}),
  concept_regenerating: regenerating(),
  exercise_regenerating: regenerating(),
  quiz_regenerating: regenerating(),
} as const satisfies Record<string, TObject>

export type EventName = keyof typeof EVENTS
export const EVENT_NAMES = Object.keys(EVENTS) as EventName[]
export type EventPayload<Name extends EventName = EventName> = Static<(typeof EVENTS)[Name]>

/** One logged event: its name beside its payload, discriminated by `name`. */
export type ChapterEvent = {
  [Name in EventName]: { name: Name; payload: EventPayload<Name> }
}[EventName]

/** The events after which nothing of a run follows. A late finish or a retry may still continue the log. */
export const END_EVENTS = [
  'all_completed',
  'chapter_failed',
  'chapter_cancelled',
] as const satisfies EventName[]

export function isEndEvent(name: string): boolean {
  return (END_EVENTS as readonly string[]).includes(name)
}

export const ProgressUpdate = Type.Object({
  chapter_id: Id,
  progress: Percent,
  message: Type.String(),
  kind: Type.Optional(stringEnum(JOB_KINDS)),
  kind_progress: Type.Optional(Percent),
})
export type ProgressUpdate = Static<typeof ProgressUpdate>

/** The chapter is gone, with everything of it; never logged. The room is empty afterwards. */
export const ChapterDeleted = Type.Object({ chapter_id: Id, message: Type.String() })
export type ChapterDeleted = Static<typeof ChapterDeleted>

/** An event as `GET …/events` lists it: what SSE calls `event` and `data`. */
export const LoggedEvent = Type.Object(
  {
    event: stringEnum(EVENT_NAMES),
    data: Type.Object({ chapter_id: Id, seq: Type.Integer(), at: Instant }, { additionalProperties: true }),
  },
  {
    examples: [
      {
        event: 'concept_completed',
        data: {
          chapter_id: 1,
          concept_id: 1,
          status: 'completed',
          message: '개념 설명이 완성되었습니다.',
          seq: 5,
          at: '2026-01-31T09:00:12.345Z',
        },
      },
    ],
  },
)

export const EventList = Type.Object({
  events: Type.Array(LoggedEvent),
  last_seq: Seq,
  expired: Type.Optional(
    Type.Boolean({
      description: 'True when the log was deleted after its retention',
    }),
  ),
})
export type EventList = Static<typeof EventList>

export const EventsQuery = Type.Object({ after: Type.Optional(Seq) })

export type KindEvent<
  Suffix extends 'processing' | 'started' | 'completed' | 'timeout' | 'retrying' | 'failed' | 'regenerating',
> = `${JobKind}_${Suffix}`
