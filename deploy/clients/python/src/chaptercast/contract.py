"""Every shape that crosses the wire between a server and its clients.

Generated from the server’s schemas by `npm run generate`; data is spelled as on the wire.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

from typing_extensions import NotRequired, TypeAlias

from .event import Event, LiveEvent

ChapterStatus: TypeAlias = Literal["processing", "completed", "failed", "cancelled"]
JobKind: TypeAlias = Literal["concept", "exercise", "quiz"]
JobStatus: TypeAlias = Literal["queued", "published", "completed", "failed", "cancelled"]
Locale: TypeAlias = Literal["ko", "en"]
ErrorCode: TypeAlias = Literal["invalid_request", "invalid_json", "unauthorized", "token_expired", "forbidden", "origin_not_allowed", "chapter_not_found", "revision_not_found", "redrive_not_found", "delivery_not_found", "route_not_found", "method_not_allowed", "request_timeout", "wrong_state", "course_too_large", "tokens_off", "too_large", "unsupported_media_type", "expectation_failed", "idempotency_key_reused", "too_many_rooms", "too_many_requests", "rate_limited", "headers_too_large", "internal", "unavailable"]
EventName: TypeAlias = Literal["chapter_processing_started", "concept_processing", "exercise_processing", "quiz_processing", "concept_started", "exercise_started", "quiz_started", "concept_completed", "exercise_completed", "quiz_completed", "all_completed", "concept_timeout", "exercise_timeout", "quiz_timeout", "concept_retrying", "exercise_retrying", "quiz_retrying", "concept_failed", "exercise_failed", "quiz_failed", "chapter_failed", "chapter_retrying", "chapter_cancelled", "concept_regenerating", "exercise_regenerating", "quiz_regenerating"]

class ChapterCreate(TypedDict):
    #: Positive integer, at most 2^53 − 1
    course_id: int
    #: Positive integer, at most 2^53 − 1
    owner_id: int
    #: Trimmed, then 1 to 255 characters
    title: str
    description: NotRequired[str]
    #: Language of the content and messages; `DEFAULT_LOCALE` unless given
    locale: NotRequired[Literal["ko", "en"]]
    quiz_count: NotRequired[int]
    #: JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
    metadata: NotRequired[dict[str, Any]]

class ChapterCreated(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    concept_id: int
    #: Positive integer, at most 2^53 − 1
    exercise_id: int
    quiz_ids: list[int]
    quiz_count: int
    status: Literal["processing", "completed", "failed", "cancelled"]
    #: ISO 8601, UTC, milliseconds
    created_at: str

class ChapterAccepted(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    status: Literal["processing", "completed", "failed", "cancelled"]
    #: Position in a chapter’s event log; 0 is before the first
    last_seq: int

class ChapterSummary(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    course_id: int
    #: Positive integer, at most 2^53 − 1
    owner_id: int
    title: str
    description: str
    #: Language of the content and of event messages
    locale: Literal["ko", "en"]
    quiz_count: int
    #: JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
    metadata: dict[str, Any]
    status: Literal["processing", "completed", "failed", "cancelled"]
    progress: float
    #: Position in a chapter’s event log; 0 is before the first
    last_seq: int
    #: ISO 8601, UTC, milliseconds
    created_at: str
    #: ISO 8601, UTC, milliseconds
    updated_at: str
    #: ISO 8601, UTC, milliseconds
    completed_at: str | None

class ChapterView(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    course_id: int
    #: Positive integer, at most 2^53 − 1
    owner_id: int
    title: str
    description: str
    #: Language of the content and of event messages
    locale: Literal["ko", "en"]
    quiz_count: int
    #: JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
    metadata: dict[str, Any]
    status: Literal["processing", "completed", "failed", "cancelled"]
    progress: float
    #: Position in a chapter’s event log; 0 is before the first
    last_seq: int
    #: ISO 8601, UTC, milliseconds
    created_at: str
    #: ISO 8601, UTC, milliseconds
    updated_at: str
    #: ISO 8601, UTC, milliseconds
    completed_at: str | None
    jobs: list[JobView]

class ChapterListQuery(TypedDict):
    #: Positive integer, at most 2^53 − 1
    owner_id: NotRequired[int]
    #: Positive integer, at most 2^53 − 1
    course_id: NotRequired[int]
    status: NotRequired[Literal["processing", "completed", "failed", "cancelled"]]
    limit: NotRequired[int]
    cursor: NotRequired[str]

class ChapterList(TypedDict):
    items: list[ChapterSummary]
    #: Give it back as `cursor` for the next page; null on the last
    next_cursor: str | None

class LearningView(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    course_id: int
    #: Positive integer, at most 2^53 − 1
    owner_id: int
    title: str
    description: str
    #: Language of the content and of event messages
    locale: Literal["ko", "en"]
    quiz_count: int
    #: JSON object of up to 8 KiB, passed on to the worker and shown in views, unread
    metadata: dict[str, Any]
    status: Literal["processing", "completed", "failed", "cancelled"]
    progress: float
    #: Position in a chapter’s event log; 0 is before the first
    last_seq: int
    #: ISO 8601, UTC, milliseconds
    created_at: str
    #: ISO 8601, UTC, milliseconds
    updated_at: str
    #: ISO 8601, UTC, milliseconds
    completed_at: str | None
    concept: ConceptView
    exercise: ExerciseView
    quizzes: list[QuizView]

class JobViewError(TypedDict):
    """Why the last attempt that failed did: of a failed job this one, else the one before."""

    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused"]
    message: str | None

class JobView(TypedDict):
    kind: Literal["concept", "exercise", "quiz"]
    job_id: str
    status: Literal["queued", "published", "completed", "failed", "cancelled"]
    attempt: int
    max_attempts: int
    progress: float
    #: When this job was asked for, whatever its attempt
    requested_at: str
    #: When a worker began this attempt
    started_at: str | None
    #: When its worker was last heard
    last_heard_at: str | None
    #: ISO 8601, UTC, milliseconds
    deadline_at: str | None
    #: While it waits for a place in the window: how many jobs are given one before it, up to 1,000
    waiting_before: NotRequired[int]
    #: Why the last attempt that failed did: of a failed job this one, else the one before
    error: JobViewError | None
    #: The one that is being written or was asked for; of a completed job the one that can be read
    revision: int
    #: The revision that can be read now; null before the first result
    content_revision: int | None
    #: Attempts that have ended, oldest first; the latest 20
    history: list[AttemptView]

class AttemptView(TypedDict):
    """An attempt that has ended."""

    revision: int
    attempt: int
    job_id: str
    #: ISO 8601, UTC, milliseconds
    started_at: str | None
    #: ISO 8601, UTC, milliseconds
    ended_at: str | None
    outcome: Literal["completed", "failed", "cancelled"]
    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused", None]
    error: str | None

class RegenerateRequest(TypedDict):
    #: What is to be better; the worker is told. Trimmed, then 1 to 2,000 characters
    instruction: NotRequired[str]

class RevisionAccepted(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    status: Literal["processing", "completed", "failed", "cancelled"]
    #: Position in a chapter’s event log; 0 is before the first
    last_seq: int
    kind: Literal["concept", "exercise", "quiz"]
    #: The one that is written from now on, or that is the current one now
    revision: int

class RevisionSummary(TypedDict):
    revision: int
    #: That it was asked for with
    instruction: str | None
    #: When it was stored
    created_at: str | None
    is_current: bool

class RevisionList(TypedDict):
    #: Those that have content, oldest first
    revisions: list[RevisionSummary]

class RevisionViewConcept(TypedDict):
    title: str | None
    content: str | None

class RevisionViewExercise(TypedDict):
    question: str | None
    #: Only with `?answers=true`
    answer: NotRequired[str | None]
    difficulty: Literal["easy", "medium", "hard", None]

class RevisionViewQuizzesItem(TypedDict):
    question: str | None
    #: Only with `?answers=true`
    correct_answer: NotRequired[str | None]
    options: list[str] | None
    type: Literal["multiple", "short", "boolean", None]

class RevisionView(TypedDict):
    revision: int
    #: That it was asked for with
    instruction: str | None
    #: When it was stored
    created_at: str | None
    is_current: bool
    concept: NotRequired[RevisionViewConcept]
    exercise: NotRequired[RevisionViewExercise]
    quizzes: NotRequired[list[RevisionViewQuizzesItem]]

class WatchTokenRequest(TypedDict):
    #: How long it is good, in seconds
    ttl_s: NotRequired[int]
    #: Whether it also shows answers and earlier revisions
    answers: NotRequired[bool]

class WatchToken(TypedDict):
    token: str
    #: ISO 8601, UTC, milliseconds
    expires_at: str

class ConceptView(TypedDict):
    #: Positive integer, at most 2^53 − 1
    id: int
    #: null while there is no content
    revision: int | None
    title: str | None
    content: str | None
    is_complete: bool

class ExerciseView(TypedDict):
    #: Positive integer, at most 2^53 − 1
    id: int
    #: null while there is no content
    revision: int | None
    question: str | None
    #: Only with `?answers=true`
    answer: NotRequired[str | None]
    difficulty: Literal["easy", "medium", "hard", None]
    is_complete: bool

class QuizView(TypedDict):
    #: Positive integer, at most 2^53 − 1
    id: int
    #: null while there is no content
    revision: int | None
    question: str | None
    #: Only with `?answers=true`
    correct_answer: NotRequired[str | None]
    options: list[str] | None
    type: Literal["multiple", "short", "boolean", None]
    is_complete: bool

class ProgressUpdate(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    progress: float
    message: str
    kind: NotRequired[Literal["concept", "exercise", "quiz"]]
    kind_progress: NotRequired[float]

class TextPartial(TypedDict):
    """Text so far of a concept or an exercise."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    #: In UTF-16 units: how much of the text before stays; 0 begins anew
    offset: int
    #: What follows the first `offset` units
    text: str

class QuizPartial(TypedDict):
    """Whole questions so far of a quiz."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    #: How many of the questions before stay; 0 begins anew
    offset: int
    #: What follows the first `offset` questions
    quizzes: list[PartialQuestion]

class PartialQuestion(TypedDict):
    question: str
    options: NotRequired[list[str] | None]
    type: NotRequired[Literal["multiple", "short", "boolean"]]

class ChapterDeleted(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    message: str

class Problem(TypedDict):
    type: str
    title: str
    status: int
    code: Literal["invalid_request", "invalid_json", "unauthorized", "token_expired", "forbidden", "origin_not_allowed", "chapter_not_found", "revision_not_found", "redrive_not_found", "delivery_not_found", "route_not_found", "method_not_allowed", "request_timeout", "wrong_state", "course_too_large", "tokens_off", "too_large", "unsupported_media_type", "expectation_failed", "idempotency_key_reused", "too_many_rooms", "too_many_requests", "rate_limited", "headers_too_large", "internal", "unavailable"]
    detail: str
    errors: NotRequired[list[Violation]]
    request_id: str

class Violation(TypedDict):
    #: JSON Pointer from the part of the request, e.g. `/body/title`
    path: str
    message: str
    #: `required`: it is missing; `unknown_field`: there is no such field; `wrong_type`: it is of another type; `not_a_number`: it is not a number, or not a whole one where one is needed; `not_one_of`: it is not one of the values in `limit`; `too_short`: the text has fewer characters than `limit`; `too_long`: the text has more characters, or the JSON more bytes, than `limit`; `too_small`: the number is less than `limit`; `too_large`: the number is more than `limit`; `too_few`: the list has fewer items than `limit`; `too_many`: the list has more items than `limit`; `too_deep`: it is nested deeper than `limit` levels; `pattern`: the text is not of the shape that is needed; `not_storable`: it holds something that cannot be stored; `not_json`: it is not JSON that can be read; `says_nothing`: the text says nothing; `invalid`: anything else; the message says what
    code: Literal["required", "unknown_field", "wrong_type", "not_a_number", "not_one_of", "too_short", "too_long", "too_small", "too_large", "too_few", "too_many", "too_deep", "pattern", "not_storable", "not_json", "says_nothing", "invalid"]
    #: The bound that was not kept; for `not_one_of` the list of what is allowed
    limit: NotRequired[float | list[str]]

class CourseChaptersCreateChaptersItem(TypedDict):
    #: Trimmed, then 1 to 255 characters
    title: str
    description: NotRequired[str]
    #: What is said for all unless given
    quiz_count: NotRequired[int]
    #: JSON object of up to 8 KiB, passed on to the worker and shown in views, unread; what is said for all unless given
    metadata: NotRequired[dict[str, Any]]

class CourseChaptersCreate(TypedDict):
    #: Positive integer, at most 2^53 − 1
    owner_id: int
    chapters: list[CourseChaptersCreateChaptersItem]
    #: Language of the content and messages; `DEFAULT_LOCALE` unless given
    locale: NotRequired[Literal["ko", "en"]]
    #: For chapters that do not say theirs
    quiz_count: NotRequired[int]
    #: For chapters that do not bring their own
    metadata: NotRequired[dict[str, Any]]

class CourseChaptersCreated(TypedDict):
    #: Positive integer, at most 2^53 − 1
    course_id: int
    #: In the order of the request
    chapters: list[ChapterCreated]

class CourseChapterKinds(TypedDict):
    """Where the job of each kind stands."""

    concept: Literal["queued", "published", "completed", "failed", "cancelled"]
    exercise: Literal["queued", "published", "completed", "failed", "cancelled"]
    quiz: Literal["queued", "published", "completed", "failed", "cancelled"]

class CourseChapter(TypedDict):
    #: Positive integer, at most 2^53 − 1
    course_id: int
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    title: str
    status: Literal["processing", "completed", "failed", "cancelled"]
    progress: float
    #: Where the job of each kind stands
    kinds: CourseChapterKinds
    #: Rises with every change of the chapter: a status with a lower one is out of date
    version: int
    #: ISO 8601, UTC, milliseconds
    updated_at: str

class CourseCounts(TypedDict):
    processing: int
    completed: int
    failed: int
    cancelled: int

class CourseQuery(TypedDict):
    #: A chapter’s id
    after: NotRequired[int]
    limit: NotRequired[int]

class CourseView(TypedDict):
    #: Positive integer, at most 2^53 − 1
    course_id: int
    counts: CourseCounts
    #: Mean progress of its chapters, in whole percent; 0 without chapters
    progress: float
    #: In the order of their ids
    chapters: list[CourseChapter]
    #: Give it back as `after` for the next page; null on the last
    next: int | None

class JoinedCourse(TypedDict):
    #: Positive integer, at most 2^53 − 1
    course_id: int
    counts: CourseCounts
    #: Mean progress of its chapters, in whole percent; 0 without chapters
    progress: float
    chapters: list[CourseChapter]

class CourseCompleted(TypedDict):
    #: Positive integer, at most 2^53 − 1
    course_id: int
    counts: CourseCounts
    #: For people, in the language of the chapter that ended last
    message: str

class JoinedChapter(TypedDict):
    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    status: NotRequired[Literal["processing", "completed", "failed", "cancelled"]]
    progress: NotRequired[float]
    #: Position in a chapter’s event log; 0 is before the first
    last_seq: NotRequired[int]
    #: The client’s cursor was beyond the end of the log: everything is replayed
    reset: NotRequired[Literal[True]]
    #: The log was deleted after its retention: what it held is not replayed
    expired: NotRequired[Literal[True]]

class ChapterProcessingStartedPayload(TypedDict):
    """The chapter was saved."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    title: str
    status: Literal["processing_started"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ConceptProcessingPayload(TypedDict):
    """The job was accepted, with the chapter."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    concept_id: int
    status: Literal["processing"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ExerciseProcessingPayload(TypedDict):
    """The job was accepted, with the chapter."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    exercise_id: int
    status: Literal["processing"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class QuizProcessingPayload(TypedDict):
    """The job was accepted, with the chapter."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    quiz_count: int
    status: Literal["processing"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ConceptStartedPayload(TypedDict):
    """A worker began an attempt: its first `-start`, or progress that names the kind."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    status: Literal["started"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ExerciseStartedPayload(TypedDict):
    """A worker began an attempt: its first `-start`, or progress that names the kind."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    status: Literal["started"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class QuizStartedPayload(TypedDict):
    """A worker began an attempt: its first `-start`, or progress that names the kind."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    status: Literal["started"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ConceptCompletedPayload(TypedDict):
    """The result was stored."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    concept_id: int
    #: From the second revision on: which one the content is now
    revision: NotRequired[int]
    status: Literal["completed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ExerciseCompletedPayload(TypedDict):
    """The result was stored."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    #: Positive integer, at most 2^53 − 1
    exercise_id: int
    #: From the second revision on: which one the content is now
    revision: NotRequired[int]
    status: Literal["completed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class QuizCompletedPayload(TypedDict):
    """The result was stored."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    quiz_count: int
    #: From the second revision on: which one the content is now
    revision: NotRequired[int]
    status: Literal["completed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class AllCompletedPayload(TypedDict):
    """Every kind is stored."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    status: Literal["all_completed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ConceptTimeoutPayload(TypedDict):
    """An attempt had no answer before its deadline."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    max_attempts: int
    status: Literal["timeout"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ExerciseTimeoutPayload(TypedDict):
    """An attempt had no answer before its deadline."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    max_attempts: int
    status: Literal["timeout"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class QuizTimeoutPayload(TypedDict):
    """An attempt had no answer before its deadline."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    max_attempts: int
    status: Literal["timeout"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ConceptRetryingPayload(TypedDict):
    """Attempt `attempt` is scheduled: the next one, or the same one again when the model was busy."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    max_attempts: int
    #: ISO 8601, UTC, milliseconds
    retry_at: str
    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused"]
    error: NotRequired[str]
    status: Literal["retrying"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ExerciseRetryingPayload(TypedDict):
    """Attempt `attempt` is scheduled: the next one, or the same one again when the model was busy."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    max_attempts: int
    #: ISO 8601, UTC, milliseconds
    retry_at: str
    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused"]
    error: NotRequired[str]
    status: Literal["retrying"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class QuizRetryingPayload(TypedDict):
    """Attempt `attempt` is scheduled: the next one, or the same one again when the model was busy."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    max_attempts: int
    #: ISO 8601, UTC, milliseconds
    retry_at: str
    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused"]
    error: NotRequired[str]
    status: Literal["retrying"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ConceptFailedPayload(TypedDict):
    """The attempts are used up, or another one would be useless."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused"]
    error: NotRequired[str]
    #: Of a regeneration: the content that was there stays
    kept: NotRequired[Literal[True]]
    status: Literal["failed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ExerciseFailedPayload(TypedDict):
    """The attempts are used up, or another one would be useless."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused"]
    error: NotRequired[str]
    #: Of a regeneration: the content that was there stays
    kept: NotRequired[Literal[True]]
    status: Literal["failed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class QuizFailedPayload(TypedDict):
    """The attempts are used up, or another one would be useless."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    attempt: int
    reason: Literal["timeout", "rate_limited", "unavailable", "model_error", "invalid_result", "refused"]
    error: NotRequired[str]
    #: Of a regeneration: the content that was there stays
    kept: NotRequired[Literal[True]]
    status: Literal["failed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ChapterFailedPayload(TypedDict):
    """Nothing runs any more and a kind failed."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    failed: list[Literal["concept", "exercise", "quiz"]]
    status: Literal["failed"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ChapterRetryingPayload(TypedDict):
    """A client asked for what failed again."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    status: Literal["retrying"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ChapterCancelledPayload(TypedDict):
    """A client cancelled it."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    status: Literal["cancelled"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ConceptRegeneratingPayload(TypedDict):
    """A client asked for the kind again; a run begins."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    revision: int
    instruction: NotRequired[str]
    status: Literal["regenerating"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class ExerciseRegeneratingPayload(TypedDict):
    """A client asked for the kind again; a run begins."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    revision: int
    instruction: NotRequired[str]
    status: Literal["regenerating"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

class QuizRegeneratingPayload(TypedDict):
    """A client asked for the kind again; a run begins."""

    #: Positive integer, at most 2^53 − 1
    chapter_id: int
    revision: int
    instruction: NotRequired[str]
    status: Literal["regenerating"]
    #: For people, in the chapter’s language
    message: str
    #: Counts this chapter’s events 1, 2, 3, … without a gap
    seq: int
    #: ISO 8601, UTC, milliseconds
    at: str

#: A logged event of a chapter.
ChapterEvent: TypeAlias = Union[
    Event[Literal["chapter_processing_started"], ChapterProcessingStartedPayload],
    Event[Literal["concept_processing"], ConceptProcessingPayload],
    Event[Literal["exercise_processing"], ExerciseProcessingPayload],
    Event[Literal["quiz_processing"], QuizProcessingPayload],
    Event[Literal["concept_started"], ConceptStartedPayload],
    Event[Literal["exercise_started"], ExerciseStartedPayload],
    Event[Literal["quiz_started"], QuizStartedPayload],
    Event[Literal["concept_completed"], ConceptCompletedPayload],
    Event[Literal["exercise_completed"], ExerciseCompletedPayload],
    Event[Literal["quiz_completed"], QuizCompletedPayload],
    Event[Literal["all_completed"], AllCompletedPayload],
    Event[Literal["concept_timeout"], ConceptTimeoutPayload],
    Event[Literal["exercise_timeout"], ExerciseTimeoutPayload],
    Event[Literal["quiz_timeout"], QuizTimeoutPayload],
    Event[Literal["concept_retrying"], ConceptRetryingPayload],
    Event[Literal["exercise_retrying"], ExerciseRetryingPayload],
    Event[Literal["quiz_retrying"], QuizRetryingPayload],
    Event[Literal["concept_failed"], ConceptFailedPayload],
    Event[Literal["exercise_failed"], ExerciseFailedPayload],
    Event[Literal["quiz_failed"], QuizFailedPayload],
    Event[Literal["chapter_failed"], ChapterFailedPayload],
    Event[Literal["chapter_retrying"], ChapterRetryingPayload],
    Event[Literal["chapter_cancelled"], ChapterCancelledPayload],
    Event[Literal["concept_regenerating"], ConceptRegeneratingPayload],
    Event[Literal["exercise_regenerating"], ExerciseRegeneratingPayload],
    Event[Literal["quiz_regenerating"], QuizRegeneratingPayload],
]

#: Progress and text so far: not logged, and only the latest counts.
ChapterUpdate: TypeAlias = Union[
    LiveEvent[Literal["progress_update"], ProgressUpdate],
    LiveEvent[Literal["concept_partial"], TextPartial],
    LiveEvent[Literal["exercise_partial"], TextPartial],
    LiveEvent[Literal["quiz_partial"], QuizPartial],
]

#: What a course tells of itself.
CourseEvent: TypeAlias = Union[
    LiveEvent[Literal["joined_course"], JoinedCourse],
    LiveEvent[Literal["chapter_status"], CourseChapter],
    LiveEvent[Literal["course_completed"], CourseCompleted],
]
