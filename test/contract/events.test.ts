import t from 'tap'
import {
  type ChapterEvent,
  END_EVENTS,
  EVENT_NAMES,
  EVENTS,
  type EventName,
  isEndEvent,
  type KindEvent,
  ProgressUpdate,
} from '../../src/contract/event.js'
import type { PartialName } from '../../src/contract/partial.js'
import type { ClientToServerEvents, ServerToClientEvents } from '../../src/contract/socket-events.js'

/** The wire: every logged event, and what its payload has beside `message`, `seq` and `at`. */
const LOGGED = `
chapter_processing_started  processing_started  title
concept_processing          processing          concept_id
exercise_processing         processing          exercise_id
quiz_processing             processing          quiz_count
concept_completed           completed           concept_id revision?
exercise_completed          completed           exercise_id revision?
quiz_completed              completed           quiz_count revision?
all_completed               all_completed
concept_started             started             attempt
exercise_started            started             attempt
quiz_started                started             attempt
concept_timeout             timeout             attempt max_attempts
exercise_timeout            timeout             attempt max_attempts
quiz_timeout                timeout             attempt max_attempts
concept_retrying            retrying            attempt max_attempts retry_at reason error?
exercise_retrying           retrying            attempt max_attempts retry_at reason error?
quiz_retrying               retrying            attempt max_attempts retry_at reason error?
concept_failed              failed              attempt reason error? kept?
exercise_failed             failed              attempt reason error? kept?
quiz_failed                 failed              attempt reason error? kept?
chapter_failed              failed              failed
chapter_retrying            retrying
chapter_cancelled           cancelled
concept_regenerating        regenerating        revision instruction?
exercise_regenerating       regenerating        revision instruction?
quiz_regenerating           regenerating        revision instruction?
`

/** What the server sends beside them: never logged, so without `seq`. */
type Unlogged =
  | PartialName
  | 'connection_established'
  | 'joined_chapter'
  | 'token_expired'
  | 'join_failed'
  | 'progress_update'
  | 'joined_course'
  | 'chapter_status'
  | 'course_completed'
  | 'chapter_deleted'

t.test('the catalogue has the events of the contract, with their fields, and no other', async (t) => {
  const expected = LOGGED.trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .map(([name, status, ...fields]) => [name, status, ...fields].join(' '))
  const actual = EVENT_NAMES.map((name) => {
    const { properties, required = [] } = EVENTS[name]
    const rest = Object.keys(properties)
      .filter((field) => !['chapter_id', 'status', 'message', 'seq', 'at'].includes(field))
      .map((field) => ((required as readonly string[]).includes(field) ? field : `${field}?`))
    return [name, properties.status.const, ...rest].join(' ')
  })
  t.same([...actual].sort(), [...expected].sort())
  for (const name of EVENT_NAMES)
    for (const field of ['chapter_id', 'status', 'message', 'seq', 'at'])
      t.ok((EVENTS[name].required as readonly string[] | undefined)?.includes(field), `${name} ${field}`)
})

t.test('a progress update is for a chapter, or for one of its parts', async (t) => {
  t.same(Object.keys(ProgressUpdate.properties), [
    'chapter_id',
    'progress',
    'message',
    'kind',
    'kind_progress',
  ])
  t.same(ProgressUpdate.required, ['chapter_id', 'progress', 'message'])
})

t.test('three events end a run, and only they', async (t) => {
  t.same([...END_EVENTS].sort(), ['all_completed', 'chapter_cancelled', 'chapter_failed'])
  t.same(EVENT_NAMES.filter(isEndEvent).sort(), [...END_EVENTS].sort())
  for (const name of ['progress_update', 'concept_completed', '', 'toString'])
    t.equal(isEndEvent(name), false)
})

t.test('a program that uses the types is told of a wrong name or payload when it is compiled', async (t) => {
  // Compiled, not run: each line that is marked must not compile, each other one must.
  const everyEvent: Record<keyof ServerToClientEvents, true> = {} as Record<EventName | Unlogged, true>
  const everyName: Record<EventName | Unlogged, true> = {} as Record<keyof ServerToClientEvents, true>
  const use = (on: ServerToClientEvents, emit: ClientToServerEvents, event: ChapterEvent) => {
    const text = { message: '', seq: 1, at: '' }
    on.concept_completed({ chapter_id: 1, concept_id: 2, status: 'completed', ...text })
    // @ts-expect-error the concept’s event has no exercise_id
    on.concept_completed({ chapter_id: 1, exercise_id: 2, status: 'completed', ...text })
    // @ts-expect-error nor another status
    on.concept_completed({ chapter_id: 1, concept_id: 2, status: 'processing', ...text })
    // @ts-expect-error every logged event has a seq
    on.all_completed({ chapter_id: 1, status: 'all_completed', message: '', at: '' })
    on.quiz_retrying({
      ...{ chapter_id: 1, status: 'retrying', attempt: 2, max_attempts: 3, retry_at: '', reason: 'timeout' },
      ...text,
    })
    // @ts-expect-error not a reason
    on.quiz_failed({ chapter_id: 1, status: 'failed', attempt: 2, reason: 'bored', ...text })
    on.chapter_failed({ chapter_id: 1, status: 'failed', failed: ['quiz'], ...text })
    on.progress_update({ chapter_id: 1, progress: 50, message: '', kind: 'quiz', kind_progress: 10 })
    on.connection_established({ status: 'connected' })
    on.joined_chapter({ chapter_id: 1 })
    on.token_expired({ message: '' })
    on.chapter_deleted({ chapter_id: 1, message: '' })
    // @ts-expect-error there is no such event
    on.concept_finished({})
    emit.join_chapter({ chapter_id: 1, after_seq: 3 }, (answer) => {
      if (answer.ok) answer.last_seq satisfies number | undefined
      else answer.code satisfies string
      // @ts-expect-error only known once it is known to be joined
      answer.last_seq
    })
    emit.join_chapter({ chapter_id: 1 })
    // @ts-expect-error an id is a number
    emit.join_chapter({ chapter_id: '1' })
    if (event.name === 'chapter_failed')
      event.payload.failed satisfies readonly ('concept' | 'exercise' | 'quiz')[]
    // @ts-expect-error not every event has it
    event.payload.failed
    'quiz_timeout' satisfies KindEvent<'timeout'>
    // @ts-expect-error not an event of a kind
    'chapter_failed' satisfies KindEvent<'failed'>
  }
  t.ok(everyEvent && everyName && use)
})
