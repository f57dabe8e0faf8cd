/**
 * The client’s shapes are generated from the server’s: each of both fits where the other is wanted. Checked when
 * the tests are compiled.
 */
import type { Static } from '@sinclair/typebox'
import t from 'tap'
import type * as client from '../../src/client/contract.js'
import type { ClientErrorCode } from '../../src/client/index.js'
import type * as chapter from '../../src/contract/chapter.js'
import type * as course from '../../src/contract/course.js'
import type * as event from '../../src/contract/event.js'
import type * as job from '../../src/contract/job.js'
import type * as partial from '../../src/contract/partial.js'
import type * as problem from '../../src/contract/problem.js'
import type * as revision from '../../src/contract/revision.js'
import type * as scalar from '../../src/contract/scalar.js'
import type * as socket from '../../src/contract/socket.js'
import type * as events from '../../src/contract/socket-events.js'
import type * as watchToken from '../../src/contract/watch-token.js'

/** Compiles when each of both can be assigned to the other; a name says what differs. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : 'the server has more') : 'the client has more'

type Shapes = {
  ChapterCreate: Same<client.ChapterCreate, chapter.ChapterCreate>
  ChapterCreated: Same<client.ChapterCreated, chapter.ChapterCreated>
  ChapterAccepted: Same<client.ChapterAccepted, chapter.ChapterAccepted>
  ChapterSummary: Same<client.ChapterSummary, chapter.ChapterSummary>
  ChapterView: Same<client.ChapterView, chapter.ChapterView>
  ChapterListQuery: Same<client.ChapterListQuery, Static<typeof chapter.ChapterListQuery>>
  ChapterList: Same<client.ChapterList, chapter.ChapterList>
  LearningView: Same<client.LearningView, chapter.LearningView>
  ChapterStatus: Same<client.ChapterStatus, chapter.ChapterStatus>
  JobView: Same<client.JobView, job.JobView>
  ConceptView: Same<client.ConceptView, Static<typeof job.ConceptView>>
  ExerciseView: Same<client.ExerciseView, Static<typeof job.ExerciseView>>
  QuizView: Same<client.QuizView, Static<typeof job.QuizView>>
  AttemptView: Same<client.AttemptView, job.AttemptView>
  RegenerateRequest: Same<client.RegenerateRequest, revision.RegenerateRequest>
  RevisionAccepted: Same<client.RevisionAccepted, revision.RevisionAccepted>
  RevisionSummary: Same<client.RevisionSummary, revision.RevisionSummary>
  RevisionList: Same<client.RevisionList, revision.RevisionList>
  RevisionView: Same<client.RevisionView, revision.RevisionView>
  WatchTokenRequest: Same<client.WatchTokenRequest, watchToken.WatchTokenRequest>
  WatchToken: Same<client.WatchToken, watchToken.WatchToken>
  ChapterDeleted: Same<client.ChapterDeleted, event.ChapterDeleted>
  JobKind: Same<client.JobKind, job.JobKind>
  JobStatus: Same<client.JobStatus, job.JobStatus>
  FailureReason: Same<client.FailureReason, job.FailureReason>
  Locale: Same<client.Locale, scalar.Locale>
  ProgressUpdate: Same<client.ProgressUpdate, event.ProgressUpdate>
  TextPartial: Same<client.TextPartial, partial.TextPartial>
  QuizPartial: Same<client.QuizPartial, partial.QuizPartial>
  PartialQuestion: Same<client.PartialQuestion, partial.PartialQuestion>
  EventName: Same<client.EventName, event.EventName>
  EventPayloads: Same<client.EventPayloads, { [Name in event.EventName]: event.EventPayload<Name> }>
  ChapterEvent: Same<client.ChapterEvent, event.ChapterEvent>
  Problem: Same<client.Problem, problem.Problem>
  Violation: Same<client.Violation, problem.Violation>
  ErrorCode: Same<client.ErrorCode, problem.ErrorCode>
  EveryErrorCode: problem.ErrorCode extends ClientErrorCode ? true : 'an error has no code'
  CourseChaptersCreate: Same<client.CourseChaptersCreate, course.CourseChaptersCreate>
  CourseChaptersCreated: Same<client.CourseChaptersCreated, course.CourseChaptersCreated>
  CourseChapter: Same<client.CourseChapter, course.CourseChapter>
  CourseCounts: Same<client.CourseCounts, course.CourseCounts>
  CourseQuery: Same<client.CourseQuery, Static<typeof course.CourseQuery>>
  CourseView: Same<client.CourseView, course.CourseView>
  JoinCourse: Same<client.JoinCourse, course.JoinCourse>
  LeaveCourse: Same<client.LeaveCourse, course.LeaveCourse>
  JoinedCourse: Same<client.JoinedCourse, course.JoinedCourse>
  CourseCompleted: Same<client.CourseCompleted, course.CourseCompleted>
  JoinChapter: Same<client.JoinChapter, socket.JoinChapter>
  LeaveChapter: Same<client.LeaveChapter, socket.LeaveChapter>
  RefreshToken: Same<client.RefreshToken, socket.RefreshToken>
  JoinedChapter: Same<client.JoinedChapter, socket.JoinedChapter>
  Refusal: Same<client.Refusal, socket.Refusal>
  ClientToServerEvents: Same<client.ClientToServerEvents, events.ClientToServerEvents>
  ServerToClientEvents: Same<client.ServerToClientEvents, events.ServerToClientEvents>
}

t.test('every shape of the client is the server’s own', async (t) => {
  const same: { [Name in keyof Shapes]: true } = {} as Shapes
  t.ok(same)
})
