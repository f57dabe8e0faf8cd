/**
 * The floor that costs are held against: the least a Node server does for the same wire, as a careful developer
 * writes it first. Fastify without schemas, one SQL statement a request (and one to see whether all is complete), and
 * a bare `io.to(room).emit` through the Redis adapter.
 *
 * It leaves out: the event log, `seq`, order, replay and once-only delivery, jobs, deadlines and retries, Kafka,
 * validation, credentials, idempotency, limits, metrics, and what happens when PostgreSQL or Redis is away.
 */
import { createAdapter } from '@socket.io/redis-adapter'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import postgres, { type JSONValue } from 'postgres'
import { Server } from 'socket.io'

const { PORT = '8000', DATABASE_URL = '', REDIS_URL = '', REDIS_PREFIX = 'floor' } = process.env

const sql = postgres(DATABASE_URL, { max: 20, onnotice() {} })
await sql.unsafe(`
  create table if not exists chapter (
    id int generated always as identity primary key,
    course_id int, owner_id int, title text, description text, status text default 'processing');
  create table if not exists concept (
    id int generated always as identity primary key,
    chapter_id int unique references chapter, title text, content text, is_complete bool default false);
  create table if not exists exercise (
    id int generated always as identity primary key,
    chapter_id int unique references chapter, question text, answer text, is_complete bool default false);
  create table if not exists quiz (
    id int generated always as identity primary key,
    chapter_id int references chapter, position int, question text, correct_answer text, options jsonb,
    is_complete bool default false, unique (chapter_id, position))`)

const app = Fastify()
const io = new Server(app.server)
const publisher = new Redis(REDIS_URL)
io.adapter(createAdapter(publisher, publisher.duplicate(), { key: REDIS_PREFIX }))
io.on('connection', (socket) => {
  socket.on('join_chapter', async ({ chapter_id }: { chapter_id: number }) => {
    await socket.join(`chapter_${chapter_id}`)
    socket.emit('joined_chapter', { chapter_id })
  })
})

function tell(chapterId: number, name: string, payload: object): void {
  io.to(`chapter_${chapterId}`).emit(name, { chapter_id: chapterId, message: '…', ...payload })
}

interface NewChapter {
  course_id: number
  owner_id: number
  title: string
  description: string
}

app.get('/readyz', () => ({}))

app.post<{ Body: NewChapter }>('/v1/chapter/', async ({ body }, reply) => {
  const [row] = await sql<{ chapter_id: number; concept_id: number; exercise_id: number }[]>`
    with new_chapter as (
        insert into chapter (course_id, owner_id, title, description)
        values (${body.course_id}, ${body.owner_id}, ${body.title}, ${body.description}) returning id),
      new_concept as (insert into concept (chapter_id) select id from new_chapter returning id),
      new_exercise as (insert into exercise (chapter_id) select id from new_chapter returning id),
      new_quizzes as (
        insert into quiz (chapter_id, position) select id, n from new_chapter, generate_series(0, 2) n)
    select new_chapter.id as chapter_id, new_concept.id as concept_id, new_exercise.id as exercise_id
    from new_chapter, new_concept, new_exercise`
  if (row === undefined) throw new Error('nothing was inserted')
  tell(row.chapter_id, 'chapter_processing_started', { title: body.title, status: 'processing_started' })
  tell(row.chapter_id, 'concept_processing', { concept_id: row.concept_id, status: 'processing' })
  tell(row.chapter_id, 'exercise_processing', { exercise_id: row.exercise_id, status: 'processing' })
  tell(row.chapter_id, 'quiz_processing', { quiz_count: 3, status: 'processing' })
  return reply.code(201).send({ ...row, status: 'processing' })
})

interface Webhook<Body> {
  Params: { id: number }
  Body: Body
}

app.post<Webhook<{ title: string; content: string }>>(
  '/v1/chapter/:id/concept-finish',
  async ({ params, body }) => {
    await sql`update concept set title = ${body.title}, content = ${body.content}, is_complete = true
      where chapter_id = ${params.id}`
    return completed(Number(params.id), 'concept')
  },
)

app.post<Webhook<{ question: string; answer: string }>>(
  '/v1/chapter/:id/exercise-finish',
  async ({ params, body }) => {
    await sql`update exercise set question = ${body.question}, answer = ${body.answer}, is_complete = true
      where chapter_id = ${params.id}`
    return completed(Number(params.id), 'exercise')
  },
)

app.post<Webhook<{ quizzes: JSONValue }>>('/v1/chapter/:id/quiz-finish', async ({ params, body }) => {
  await sql`update quiz set question = item ->> 'question', correct_answer = item ->> 'correct_answer',
      options = item -> 'options', is_complete = true
    from jsonb_array_elements(${sql.json(body.quizzes)}) with ordinality as given (item, n)
    where chapter_id = ${params.id} and position = n - 1`
  return completed(Number(params.id), 'quiz')
})

async function completed(id: number, kind: string): Promise<object> {
  tell(id, `${kind}_completed`, { status: 'completed' })
  const ended = await sql`update chapter set status = 'completed' where id = ${id}
    and (select is_complete from concept where chapter_id = ${id})
    and (select is_complete from exercise where chapter_id = ${id})
    and (select bool_and(is_complete) from quiz where chapter_id = ${id})
    returning id`
  if (ended.length > 0) tell(id, 'all_completed', { status: 'all_completed' })
  return { status: 'success', chapter_id: id }
}

// Ends by itself so that `--cpu-prof` writes its file.
process.once('SIGTERM', () => process.exit(0))
await app.listen({ port: Number(PORT), host: '127.0.0.1' })
