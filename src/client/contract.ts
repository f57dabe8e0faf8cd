/**
 * Every shape that crosses the wire between a server and its clients. Generated from the server’s schemas
 * by `npm run generate`; data is spelled as on the wire.
 */

export interface ChapterCreate {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  owner_id: number
  /**
   * Trimmed, then 1 to 255 characters
   */
  title: string
  description?: string
  /**
   * Language of the content and messages; `DEFAULT_LOCALE` unless given
   */
  locale?: 'ko' | 'en'
  quiz_count?: number
  /**
   * JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
   */
  metadata?: {
    [k: string]: unknown
  }
}
export interface ChapterCreated {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  concept_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  exercise_id: number
  /**
   * Items: Positive integer, at most 2^53 − 1
   */
  quiz_ids: number[]
  quiz_count: number
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  /**
   * ISO 8601, UTC, milliseconds
   */
  created_at: string
}
export interface ChapterAccepted {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  /**
   * Position in a chapter’s event log; 0 is before the first
   */
  last_seq: number
}
export interface ChapterSummary {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  owner_id: number
  title: string
  description: string
  /**
   * Language of the content and of event messages
   */
  locale: 'ko' | 'en'
  quiz_count: number
  /**
   * JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
   */
  metadata: {
    [k: string]: unknown
  }
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  progress: number
  /**
   * Position in a chapter’s event log; 0 is before the first
   */
  last_seq: number
  /**
   * ISO 8601, UTC, milliseconds
   */
  created_at: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  updated_at: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  completed_at: string | null
}
export interface ChapterView {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  owner_id: number
  title: string
  description: string
  /**
   * Language of the content and of event messages
   */
  locale: 'ko' | 'en'
  quiz_count: number
  /**
   * JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
   */
  metadata: {
    [k: string]: unknown
  }
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  progress: number
  /**
   * Position in a chapter’s event log; 0 is before the first
   */
  last_seq: number
  /**
   * ISO 8601, UTC, milliseconds
   */
  created_at: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  updated_at: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  completed_at: string | null
  jobs: JobView[]
}
export interface JobView {
  kind: 'concept' | 'exercise' | 'quiz'
  job_id: string
  status: 'queued' | 'published' | 'completed' | 'failed' | 'cancelled'
  attempt: number
  max_attempts: number
  progress: number
  /**
   * When this job was asked for, whatever its attempt
   */
  requested_at: string
  /**
   * When a worker began this attempt
   */
  started_at: string | null
  /**
   * When its worker was last heard
   */
  last_heard_at: string | null
  /**
   * ISO 8601, UTC, milliseconds
   */
  deadline_at: string | null
  /**
   * While it waits for a place in the window: how many jobs are given one before it, up to 1,000
   */
  waiting_before?: number
  /**
   * Why the last attempt that failed did: of a failed job this one, else the one before
   */
  error: {
    reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused'
    message: string | null
  } | null
}
export interface ChapterListQuery {
  /**
   * Positive integer, at most 2^53 − 1
   */
  owner_id?: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id?: number
  status?: 'processing' | 'completed' | 'failed' | 'cancelled'
  limit?: number
  cursor?: string
}
export interface ChapterList {
  items: ChapterSummary[]
  /**
   * Give it back as `cursor` for the next page; null on the last
   */
  next_cursor: string | null
}
export interface LearningView {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  owner_id: number
  title: string
  description: string
  /**
   * Language of the content and of event messages
   */
  locale: 'ko' | 'en'
  quiz_count: number
  /**
   * JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
   */
  metadata: {
    [k: string]: unknown
  }
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  progress: number
  /**
   * Position in a chapter’s event log; 0 is before the first
   */
  last_seq: number
  /**
   * ISO 8601, UTC, milliseconds
   */
  created_at: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  updated_at: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  completed_at: string | null
  concept: ConceptView
  exercise: ExerciseView
  quizzes: QuizView[]
}
export interface ConceptView {
  /**
   * Positive integer, at most 2^53 − 1
   */
  id: number
  title: string | null
  content: string | null
  is_complete: boolean
}
export interface ExerciseView {
  /**
   * Positive integer, at most 2^53 − 1
   */
  id: number
  question: string | null
  /**
   * Only with `?answers=true`
   */
  answer?: string | null
  difficulty: 'easy' | 'medium' | 'hard' | null
  is_complete: boolean
}
export interface QuizView {
  /**
   * Positive integer, at most 2^53 − 1
   */
  id: number
  question: string | null
  /**
   * Only with `?answers=true`
   */
  correct_answer?: string | null
  options: string[] | null
  type: 'multiple' | 'short' | 'boolean' | null
  is_complete: boolean
}
export interface ProgressUpdate {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  progress: number
  message: string
  kind?: 'concept' | 'exercise' | 'quiz'
  kind_progress?: number
}
export interface Problem {
  type: string
  title: string
  status: number
  code:
    | 'invalid_request'
    | 'invalid_json'
    | 'unauthorized'
    | 'token_expired'
    | 'forbidden'
    | 'origin_not_allowed'
    | 'chapter_not_found'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'request_timeout'
    | 'wrong_state'
    | 'too_large'
    | 'unsupported_media_type'
    | 'expectation_failed'
    | 'idempotency_key_reused'
    | 'too_many_rooms'
    | 'too_many_requests'
    | 'rate_limited'
    | 'headers_too_large'
    | 'internal'
    | 'unavailable'
  detail: string
  errors?: Violation[]
  request_id: string
}
export interface Violation {
  /**
   * JSON Pointer from the part of the request, e.g. `/body/title`
   */
  path: string
  message: string
}
export interface JoinChapter {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  /**
   * Position in a chapter’s event log; 0 is before the first
   */
  after_seq?: number
}
export interface LeaveChapter {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
}
export interface RefreshToken {
  token: string
}
export interface JoinedChapter {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  status?: 'processing' | 'completed' | 'failed' | 'cancelled'
  progress?: number
  /**
   * Position in a chapter’s event log; 0 is before the first
   */
  last_seq?: number
  /**
   * The client’s cursor was beyond the end of the log: everything is replayed
   */
  reset?: true
  /**
   * The log was deleted after its retention: what it held is not replayed
   */
  expired?: true
}
export interface Refusal {
  code:
    | 'invalid_request'
    | 'invalid_json'
    | 'unauthorized'
    | 'token_expired'
    | 'forbidden'
    | 'origin_not_allowed'
    | 'chapter_not_found'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'request_timeout'
    | 'wrong_state'
    | 'too_large'
    | 'unsupported_media_type'
    | 'expectation_failed'
    | 'idempotency_key_reused'
    | 'too_many_rooms'
    | 'too_many_requests'
    | 'rate_limited'
    | 'headers_too_large'
    | 'internal'
    | 'unavailable'
  message: string
}
/**
 * Every logged event, in the order a chapter usually has them
 */
export interface EventPayloads {
  /**
   * The chapter was saved
   */
  chapter_processing_started: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    title: string
    status: 'processing_started'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The job was accepted, with the chapter
   */
  concept_processing: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    /**
     * Positive integer, at most 2^53 − 1
     */
    concept_id: number
    status: 'processing'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The job was accepted, with the chapter
   */
  exercise_processing: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    /**
     * Positive integer, at most 2^53 − 1
     */
    exercise_id: number
    status: 'processing'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The job was accepted, with the chapter
   */
  quiz_processing: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    quiz_count: number
    status: 'processing'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * A worker began an attempt: its first `-start`, or progress that names the kind
   */
  concept_started: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    status: 'started'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * A worker began an attempt: its first `-start`, or progress that names the kind
   */
  exercise_started: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    status: 'started'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * A worker began an attempt: its first `-start`, or progress that names the kind
   */
  quiz_started: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    status: 'started'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The result was stored
   */
  concept_completed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    /**
     * Positive integer, at most 2^53 − 1
     */
    concept_id: number
    status: 'completed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The result was stored
   */
  exercise_completed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    /**
     * Positive integer, at most 2^53 − 1
     */
    exercise_id: number
    status: 'completed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The result was stored
   */
  quiz_completed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    quiz_count: number
    status: 'completed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * Every kind is stored
   */
  all_completed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    status: 'all_completed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * An attempt had no answer before its deadline
   */
  concept_timeout: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    max_attempts: number
    status: 'timeout'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * An attempt had no answer before its deadline
   */
  exercise_timeout: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    max_attempts: number
    status: 'timeout'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * An attempt had no answer before its deadline
   */
  quiz_timeout: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    max_attempts: number
    status: 'timeout'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * Attempt `attempt` is scheduled: the next one, or the same one again when the model was busy
   */
  concept_retrying: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    max_attempts: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    retry_at: string
    reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused'
    error?: string
    status: 'retrying'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * Attempt `attempt` is scheduled: the next one, or the same one again when the model was busy
   */
  exercise_retrying: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    max_attempts: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    retry_at: string
    reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused'
    error?: string
    status: 'retrying'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * Attempt `attempt` is scheduled: the next one, or the same one again when the model was busy
   */
  quiz_retrying: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    max_attempts: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    retry_at: string
    reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused'
    error?: string
    status: 'retrying'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The attempts are used up, or another one would be useless
   */
  concept_failed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused'
    error?: string
    status: 'failed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The attempts are used up, or another one would be useless
   */
  exercise_failed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused'
    error?: string
    status: 'failed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * The attempts are used up, or another one would be useless
   */
  quiz_failed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    attempt: number
    reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused'
    error?: string
    status: 'failed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * Nothing runs any more and a kind failed
   */
  chapter_failed: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    failed: ('concept' | 'exercise' | 'quiz')[]
    status: 'failed'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * A client asked for what failed again
   */
  chapter_retrying: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    status: 'retrying'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
  /**
   * A client cancelled it
   */
  chapter_cancelled: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    status: 'cancelled'
    /**
     * For people, in the chapter’s language
     */
    message: string
    /**
     * Counts this chapter’s events 1, 2, 3, … without a gap
     */
    seq: number
    /**
     * ISO 8601, UTC, milliseconds
     */
    at: string
  }
}

export type ChapterStatus = ChapterView['status']
export type JobKind = JobView['kind']
export type JobStatus = JobView['status']
export type FailureReason = NonNullable<JobView['error']>['reason']
export type Locale = ChapterView['locale']
export type ErrorCode = Problem['code']

export type EventName = keyof EventPayloads
export type EventPayload<Name extends EventName = EventName> = EventPayloads[Name]

/** One logged event: its name beside its payload, discriminated by `name`. */
export type ChapterEvent = { [Name in EventName]: { name: Name; payload: EventPayload<Name> } }[EventName]

/** What a socket is answered: `socket.emit('join_chapter', payload, ack)`. */
export type Ack<T extends object> = (answer: ({ ok: true } & T) | ({ ok: false } & Refusal)) => void

/** An event with an optional ack, written so that `emit`, `emitWithAck` and `timeout` of Socket.IO are typed. */
export type Asking<Payload, Answer extends object> = (
  ...args: [payload: Payload] | [payload: Payload, ack: Ack<Answer>]
) => void

/** For `Socket<ServerToClientEvents, ClientToServerEvents>` of a plain `socket.io-client`. */
export interface ClientToServerEvents {
  join_chapter: Asking<JoinChapter, JoinedChapter>
  leave_chapter: Asking<LeaveChapter, { chapter_id: number }>
  refresh_token: Asking<RefreshToken, object>
}

export type ServerToClientEvents = {
  [Name in EventName]: (payload: EventPayload<Name>) => void
} & {
  connection_established: (payload: { status: 'connected' }) => void
  joined_chapter: (payload: JoinedChapter) => void
  join_failed: (payload: { chapter_id: number | null } & Refusal) => void
  progress_update: (payload: ProgressUpdate) => void
  /** Before the server closes a connection whose token has expired: connect again with a new one. */
  token_expired: (payload: { message: string }) => void
}
