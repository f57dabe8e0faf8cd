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
  /**
   * The one that is being written or was asked for; of a completed job the one that can be read
   */
  revision: number
  /**
   * The revision that can be read now; null before the first result
   */
  content_revision: number | null
  /**
   * Attempts that have ended, oldest first; the latest 20
   */
  history: AttemptView[]
}
/**
 * An attempt that has ended
 */
export interface AttemptView {
  revision: number
  attempt: number
  job_id: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  started_at: string | null
  /**
   * ISO 8601, UTC, milliseconds
   */
  ended_at: string | null
  outcome: 'completed' | 'failed' | 'cancelled'
  reason: 'timeout' | 'rate_limited' | 'unavailable' | 'model_error' | 'invalid_result' | 'refused' | null
  error: string | null
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
  /**
   * null while there is no content
   */
  revision: number | null
  title: string | null
  content: string | null
  is_complete: boolean
}
export interface ExerciseView {
  /**
   * Positive integer, at most 2^53 − 1
   */
  id: number
  /**
   * null while there is no content
   */
  revision: number | null
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
  /**
   * null while there is no content
   */
  revision: number | null
  question: string | null
  /**
   * Only with `?answers=true`
   */
  correct_answer?: string | null
  options: string[] | null
  type: 'multiple' | 'short' | 'boolean' | null
  is_complete: boolean
}
export interface RegenerateRequest {
  /**
   * What is to be better; the worker is told. Trimmed, then 1 to 2,000 characters
   */
  instruction?: string
}
export interface RevisionAccepted {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  /**
   * Position in a chapter’s event log; 0 is before the first
   */
  last_seq: number
  kind: 'concept' | 'exercise' | 'quiz'
  /**
   * The one that is written from now on, or that is the current one now
   */
  revision: number
}
export interface RevisionSummary {
  revision: number
  /**
   * That it was asked for with
   */
  instruction: string | null
  /**
   * When it was stored
   */
  created_at: string | null
  is_current: boolean
}
export interface RevisionList {
  /**
   * Those that have content, oldest first
   */
  revisions: RevisionSummary[]
}
export interface RevisionView {
  revision: number
  /**
   * That it was asked for with
   */
  instruction: string | null
  /**
   * When it was stored
   */
  created_at: string | null
  is_current: boolean
  concept?: {
    title: string | null
    content: string | null
  }
  exercise?: {
    question: string | null
    /**
     * Only with `?answers=true`
     */
    answer?: string | null
    difficulty: 'easy' | 'medium' | 'hard' | null
  }
  quizzes?: {
    question: string | null
    /**
     * Only with `?answers=true`
     */
    correct_answer?: string | null
    options: string[] | null
    type: 'multiple' | 'short' | 'boolean' | null
  }[]
}
export interface WatchTokenRequest {
  /**
   * How long it is good, in seconds
   */
  ttl_s?: number
  /**
   * Whether it also shows answers and earlier revisions
   */
  answers?: boolean
}
export interface WatchToken {
  token: string
  /**
   * ISO 8601, UTC, milliseconds
   */
  expires_at: string
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
/**
 * Text so far of a concept or an exercise
 */
export interface TextPartial {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  attempt: number
  /**
   * In UTF-16 units: how much of the text before stays; 0 begins anew
   */
  offset: number
  /**
   * What follows the first `offset` units
   */
  text: string
}
/**
 * Whole questions so far of a quiz
 */
export interface QuizPartial {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  attempt: number
  /**
   * How many of the questions before stay; 0 begins anew
   */
  offset: number
  /**
   * What follows the first `offset` questions
   */
  quizzes: PartialQuestion[]
}
export interface PartialQuestion {
  question: string
  options?: string[] | null
  type?: 'multiple' | 'short' | 'boolean'
}
export interface ChapterDeleted {
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  message: string
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
    | 'revision_not_found'
    | 'redrive_not_found'
    | 'delivery_not_found'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'request_timeout'
    | 'wrong_state'
    | 'course_too_large'
    | 'tokens_off'
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
  /**
   * `required`: it is missing; `unknown_field`: there is no such field; `wrong_type`: it is of another type; `not_a_number`: it is not a number, or not a whole one where one is needed; `not_one_of`: it is not one of the values in `limit`; `too_short`: the text has fewer characters than `limit`; `too_long`: the text has more characters, or the JSON more bytes, than `limit`; `too_small`: the number is less than `limit`; `too_large`: the number is more than `limit`; `too_few`: the list has fewer items than `limit`; `too_many`: the list has more items than `limit`; `too_deep`: it is nested deeper than `limit` levels; `pattern`: the text is not of the shape that is needed; `not_storable`: it holds something that cannot be stored; `not_json`: it is not JSON that can be read; `says_nothing`: the text says nothing; `invalid`: anything else; the message says what
   */
  code:
    | 'required'
    | 'unknown_field'
    | 'wrong_type'
    | 'not_a_number'
    | 'not_one_of'
    | 'too_short'
    | 'too_long'
    | 'too_small'
    | 'too_large'
    | 'too_few'
    | 'too_many'
    | 'too_deep'
    | 'pattern'
    | 'not_storable'
    | 'not_json'
    | 'says_nothing'
    | 'invalid'
  /**
   * The bound that was not kept; for `not_one_of` the list of what is allowed
   */
  limit?: number | string[]
}
export interface CourseChaptersCreate {
  /**
   * Positive integer, at most 2^53 − 1
   */
  owner_id: number
  /**
   * @minItems 1
   * @maxItems 100
   */
  chapters: {
    /**
     * Trimmed, then 1 to 255 characters
     */
    title: string
    description?: string
    /**
     * What is said for all unless given
     */
    quiz_count?: number
    /**
     * JSON object of up to 8 KiB, passed on to the worker and shown in views, unread; what is said for all unless given
     */
    metadata?: {
      [k: string]: unknown
    }
  }[]
  /**
   * Language of the content and messages; `DEFAULT_LOCALE` unless given
   */
  locale?: 'ko' | 'en'
  /**
   * For chapters that do not say theirs
   */
  quiz_count?: number
  /**
   * For chapters that do not bring their own
   */
  metadata?: {
    [k: string]: unknown
  }
}
export interface CourseChaptersCreated {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  /**
   * In the order of the request
   */
  chapters: ChapterCreated[]
}
export interface CourseChapter {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  /**
   * Positive integer, at most 2^53 − 1
   */
  chapter_id: number
  title: string
  status: 'processing' | 'completed' | 'failed' | 'cancelled'
  progress: number
  /**
   * Where the job of each kind stands
   */
  kinds: {
    concept: 'queued' | 'published' | 'completed' | 'failed' | 'cancelled'
    exercise: 'queued' | 'published' | 'completed' | 'failed' | 'cancelled'
    quiz: 'queued' | 'published' | 'completed' | 'failed' | 'cancelled'
  }
  /**
   * Rises with every change of the chapter: a status with a lower one is out of date
   */
  version: number
  /**
   * ISO 8601, UTC, milliseconds
   */
  updated_at: string
}
export interface CourseCounts {
  processing: number
  completed: number
  failed: number
  cancelled: number
}
export interface CourseQuery {
  /**
   * A chapter’s id
   */
  after?: number
  limit?: number
}
export interface CourseView {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  counts: CourseCounts
  /**
   * Mean progress of its chapters, in whole percent; 0 without chapters
   */
  progress: number
  /**
   * In the order of their ids
   */
  chapters: CourseChapter[]
  /**
   * Give it back as `after` for the next page; null on the last
   */
  next: number | null
}
export interface JoinCourse {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
}
export interface LeaveCourse {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
}
export interface JoinedCourse {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  counts: CourseCounts
  /**
   * Mean progress of its chapters, in whole percent; 0 without chapters
   */
  progress: number
  chapters: CourseChapter[]
}
export interface CourseCompleted {
  /**
   * Positive integer, at most 2^53 − 1
   */
  course_id: number
  counts: CourseCounts
  /**
   * For people, in the language of the chapter that ended last
   */
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
    | 'revision_not_found'
    | 'redrive_not_found'
    | 'delivery_not_found'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'request_timeout'
    | 'wrong_state'
    | 'course_too_large'
    | 'tokens_off'
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
    /**
     * From the second revision on: which one the content is now
     */
    revision?: number
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
    /**
     * From the second revision on: which one the content is now
     */
    revision?: number
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
    /**
     * From the second revision on: which one the content is now
     */
    revision?: number
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
    /**
     * Of a regeneration: the content that was there stays
     */
    kept?: true
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
    /**
     * Of a regeneration: the content that was there stays
     */
    kept?: true
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
    /**
     * Of a regeneration: the content that was there stays
     */
    kept?: true
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
  /**
   * A client asked for the kind again; a run begins
   */
  concept_regenerating: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    revision: number
    instruction?: string
    status: 'regenerating'
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
   * A client asked for the kind again; a run begins
   */
  exercise_regenerating: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    revision: number
    instruction?: string
    status: 'regenerating'
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
   * A client asked for the kind again; a run begins
   */
  quiz_regenerating: {
    /**
     * Positive integer, at most 2^53 − 1
     */
    chapter_id: number
    revision: number
    instruction?: string
    status: 'regenerating'
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
export const JOB_KINDS = ['concept', 'exercise', 'quiz'] as const
export type JobStatus = JobView['status']
export type FailureReason = NonNullable<JobView['error']>['reason']
export type Locale = ChapterView['locale']
export type ErrorCode = Problem['code']

export type EventName = keyof EventPayloads
export type EventPayload<Name extends EventName = EventName> = EventPayloads[Name]

/** A piece of the text so far: its name beside its payload. */
export type PartialUpdate =
  | { name: 'concept_partial'; payload: TextPartial }
  | { name: 'exercise_partial'; payload: TextPartial }
  | { name: 'quiz_partial'; payload: QuizPartial }

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
  /** Acknowledged when `joined_course` was sent: the list is there, not in the answer. */
  join_course: Asking<JoinCourse, { course_id: number }>
  leave_course: Asking<LeaveCourse, { course_id: number }>
  refresh_token: Asking<RefreshToken, object>
}

export type ServerToClientEvents = {
  [Name in EventName]: (payload: EventPayload<Name>) => void
} & {
  /** Text so far: what follows its first `offset` UTF-16 units, of a quiz whole questions; 0 begins anew. */
  [Name in PartialUpdate['name']]: (payload: Extract<PartialUpdate, { name: Name }>['payload']) => void
} & {
  connection_established: (payload: { status: 'connected' }) => void
  joined_chapter: (payload: JoinedChapter) => void
  /** `course_id` when it was the join of a course. */
  join_failed: (payload: { chapter_id: number | null; course_id?: number | null } & Refusal) => void
  progress_update: (payload: ProgressUpdate) => void
  /** The whole list, which replaces what was known of the course. */
  joined_course: (payload: JoinedCourse) => void
  /** A chapter of the course was made or changed. Not logged; the highest version counts. */
  chapter_status: (payload: CourseChapter) => void
  /** Nothing of the course is being generated any more. */
  course_completed: (payload: CourseCompleted) => void
  /** The chapter was erased; its room is empty now. */
  chapter_deleted: (payload: ChapterDeleted) => void
  /** Before the server closes a connection whose token has expired: connect again with a new one. */
  token_expired: (payload: { message: string }) => void
}
