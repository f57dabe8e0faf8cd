/**
 * The shapes of the wire by the names that documents and the client give them, and what a document says where one
 * stands inside another: a reference instead of a copy. Used when documents are made, not on any request.
 */
import { type TSchema, Type } from '@sinclair/typebox'
import * as admin from './admin.js'
import * as callback from './callback.js'
import * as chapter from './chapter.js'
import * as course from './course.js'
import * as event from './event.js'
import * as generation from './generation.js'
import * as health from './health.js'
import * as job from './job.js'
import * as notice from './notice.js'
import * as partial from './partial.js'
import * as problem from './problem.js'
import * as revision from './revision.js'
import { LOCALES } from './scalar.js'
import * as socket from './socket.js'
import * as messages from './socket-messages.js'
import * as watchToken from './watch-token.js'

/** What front ends send and are sent: the client package has these. */
export const CLIENT_SHAPES: Record<string, TSchema> = {
  ChapterCreate: chapter.ChapterCreate,
  ChapterCreated: chapter.ChapterCreated,
  ChapterAccepted: chapter.ChapterAccepted,
  ChapterSummary: chapter.ChapterSummary,
  ChapterView: chapter.ChapterView,
  ChapterListQuery: chapter.ChapterListQuery,
  ChapterList: chapter.ChapterList,
  LearningView: chapter.LearningView,
  JobView: job.JobView,
  AttemptView: job.AttemptView,
  RegenerateRequest: revision.RegenerateRequest,
  RevisionAccepted: revision.RevisionAccepted,
  RevisionSummary: revision.RevisionSummary,
  RevisionList: revision.RevisionList,
  RevisionView: revision.RevisionView,
  WatchTokenRequest: watchToken.WatchTokenRequest,
  WatchToken: watchToken.WatchToken,
  ConceptView: job.ConceptView,
  ExerciseView: job.ExerciseView,
  QuizView: job.QuizView,
  ProgressUpdate: event.ProgressUpdate,
  TextPartial: partial.TextPartial,
  QuizPartial: partial.QuizPartial,
  PartialQuestion: partial.PartialQuestion,
  ChapterDeleted: event.ChapterDeleted,
  Problem: problem.Problem,
  Violation: problem.Violation,
  CourseChaptersCreate: course.CourseChaptersCreate,
  CourseChaptersCreated: course.CourseChaptersCreated,
  CourseChapter: course.CourseChapter,
  CourseCounts: course.CourseCounts,
  CourseQuery: course.CourseQuery,
  CourseView: course.CourseView,
  JoinCourse: course.JoinCourse,
  LeaveCourse: course.LeaveCourse,
  JoinedCourse: course.JoinedCourse,
  CourseCompleted: course.CourseCompleted,
  JoinChapter: socket.JoinChapter,
  LeaveChapter: socket.LeaveChapter,
  RefreshToken: socket.RefreshToken,
  JoinedChapter: socket.JoinedChapter,
  Refusal: socket.Refusal,
}

/** `concept_completed` → `ConceptCompleted` */
export function pascalCase(name: string): string {
  return name.replaceAll(/(?:^|_)(.)/g, (_match, letter: string) => letter.toUpperCase())
}

/** One of these names for each logged event. */
export function eventShapeName(name: event.EventName): string {
  return `${pascalCase(name)}Event`
}

/** An event of a list with the payload that it has: more than the serialiser needs to know. */
const LoggedEvent = Type.Unsafe<unknown>({
  description: 'An event: what server-sent events call `event` and `data`',
  oneOf: event.EVENT_NAMES.map((name) =>
    Type.Object({ event: Type.Literal(name), data: event.EVENTS[name] }, { title: name }),
  ),
  examples: event.LoggedEvent.examples,
})

/** Every shape of the documents. Earlier names win where two shapes are one. */
export const SHAPES: Readonly<Record<string, TSchema>> = {
  ...CLIENT_SHAPES,
  CourseChapterCreate: course.CourseChapterCreate,
  CourseChapterKinds: course.CourseChapter.properties.kinds,
  JobError: job.JobError,
  ConceptContent: revision.ConceptContent,
  ExerciseContent: revision.ExerciseContent,
  QuizContent: revision.QuizContent,
  RestoreRequest: revision.RestoreRequest,
  EventList: event.EventList,
  LoggedEvent: event.LoggedEvent,
  ...Object.fromEntries(event.EVENT_NAMES.map((name) => [eventShapeName(name), event.EVENTS[name]])),
  ConceptFinish: callback.ConceptFinish,
  ExerciseFinish: callback.ExerciseFinish,
  QuizFinish: callback.QuizFinish,
  RawFinish: callback.RawFinish,
  QuizItem: job.QuizItem,
  StartCallback: callback.StartCallback,
  StartAnswer: callback.StartAnswer,
  FailCallback: callback.FailCallback,
  ProgressCallback: callback.ProgressCallback,
  CallbackAnswer: callback.CallbackAnswer,
  TextSoFar: partial.PARTIAL_BODIES.concept,
  QuestionsSoFar: partial.PARTIAL_BODIES.quiz,
  QuestionSoFar: partial.PARTIAL_BODIES.quiz.properties.quizzes.items,
  PartialAnswer: partial.PartialAnswer,
  GenerationMessage: generation.GenerationMessage,
  DeadLetter: generation.DeadLetter,
  PreviousFailure: generation.PreviousFailure,
  Callbacks: generation.GenerationMessage.properties.callback,
  Notice: notice.Notice,
  NoticeData: notice.Notice.properties.data,
  StuckList: admin.StuckList,
  StuckJob: admin.StuckJob,
  AdminChapter: admin.AdminChapter,
  AdminJob: admin.AdminJob,
  AdminAccepted: admin.AdminAccepted,
  EndRequest: admin.EndRequest,
  DeadLetterList: admin.DeadLetterList,
  DeadLetterView: admin.DeadLetterView,
  RedriveFilter: admin.RedriveFilter,
  RedriveRequest: admin.RedriveRequest,
  Redrive: admin.Redrive,
  RedriveList: admin.RedriveList,
  PauseRequest: admin.PauseRequest,
  KindState: admin.KindState,
  KindList: admin.KindList,
  DeliveryList: admin.DeliveryList,
  DeliveryView: admin.DeliveryView,
  AuditEntry: admin.AuditEntry,
  AuditList: admin.AuditList,
  Alive: health.Alive,
  Ready: health.Ready,
  ConnectionEstablished: messages.ConnectionEstablished,
  JoinFailed: messages.JoinFailed,
  TokenExpired: messages.TokenExpired,
  LeftChapter: messages.LeftChapter,
  CourseAccepted: messages.CourseAccepted,
  TokenAccepted: messages.TokenAccepted,
}

/** Lists of values, by the name of what has one of them. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
  ChapterStatus: chapter.CHAPTER_STATUSES,
  JobKind: job.JOB_KINDS,
  JobStatus: job.JOB_STATUSES,
  FailureReason: job.FAILURE_REASONS,
  AttemptOutcome: job.ATTEMPT_OUTCOMES,
  Difficulty: job.DIFFICULTIES,
  QuizType: job.QUIZ_TYPES,
  Locale: LOCALES,
  ErrorCode: problem.ERROR_CODES,
  ViolationCode: Object.keys(problem.VIOLATION_CODES),
  StartRefusal: callback.START_REFUSALS,
  CallbackStatus: callback.CALLBACK_STATUSES,
  NoticeType: notice.NOTICE_TYPES,
  DeliveryStatus: notice.DELIVERY_STATUSES,
  StuckWhy: admin.STUCK_WHYS,
  RedriveStatus: admin.REDRIVE_STATUSES,
  AuditAction: admin.AUDIT_ACTIONS,
  AuditOutcome: admin.AUDIT_OUTCOMES,
}

/** A shape is known by its properties, which a copy with another description or in another place still has. */
const names = new Map<unknown, string>()
for (const [name, schema] of Object.entries(SHAPES))
  if (!names.has(schema.properties)) names.set(schema.properties, name)
const valueNames = new Map(Object.entries(VALUES).map(([name, values]) => [JSON.stringify(values), name]))

type Schema = Record<string, unknown>

/** The name of a shape or of a list of values; undefined for any other. */
export function shapeName(schema: Schema): string | undefined {
  if (typeof schema.properties === 'object') return names.get(schema.properties)
  if (!Array.isArray(schema.enum)) return undefined
  return valueNames.get(JSON.stringify(schema.enum.filter((value) => value !== null)))
}

/** What these hold is data and no schema. */
const DATA = ['examples', 'example', 'default', 'enum', 'const']

/** A copy in which `replace` says what stands in place of each named shape. */
export function replaceShapes(
  value: unknown,
  replace: (name: string, schema: Schema) => unknown,
  isTop = false,
): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => replaceShapes(item, replace))
  const schema = value as Schema
  const name = isTop ? undefined : shapeName(schema)
  if (name !== undefined) return replace(name, schema)
  return Object.fromEntries(
    Object.entries(schema).map(([key, item]) => [
      key,
      DATA.includes(key) ? item : replaceShapes(item, replace),
    ]),
  )
}

/**
 * In place of a shape: where it is described. What is said of this place only stands beside it, in a form that the
 * JSON Schema of OpenAPI 3.1 (2020-12) and that of AsyncAPI 3 (draft 7) read alike.
 */
export function referenceTo(name: string, schema: Schema): Schema {
  const reference = { $ref: `#/components/schemas/${name}` }
  const isNullable = Array.isArray(schema.type) && schema.type.includes('null')
  const { description, default: value } = schema
  const beside = {
    ...(description === undefined || description === SHAPES[name]?.description ? {} : { description }),
    ...(value === undefined ? {} : { default: value }),
  }
  if (isNullable) return { anyOf: [reference, { type: 'null' }], ...beside }
  return Object.keys(beside).length === 0 ? reference : { allOf: [reference], ...beside }
}

/** For `components.schemas`: the shapes that `document` refers to, and those that they refer to. */
export function componentsOf(document: unknown): Record<string, unknown> {
  const components: Record<string, unknown> = {}
  const open = [document]
  for (const part of open)
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g))
      if (name !== undefined && components[name] === undefined) {
        components[name] = component(name)
        open.push(components[name])
      }
  return Object.fromEntries(Object.entries(components).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function component(name: string): unknown {
  const values = VALUES[name]
  if (values !== undefined) return { type: 'string', enum: values }
  const { $id: _, ...schema } = (name === 'LoggedEvent' ? LoggedEvent : SHAPES[name]) ?? {}
  return replaceShapes(schema, referenceTo, true)
}
