/**
 * A part is written again while clients watch from every node: a run like the first one, for those who know nothing of
 * it too.
 */
import t from 'tap'
import { JOB_KINDS } from '../../src/contract/job.js'
import { openEvents } from '../sockets/sse-client.js'
import { buildTestApp } from '../support/app.js'
import { createChapter, FINISH_BODIES, finish, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'
import { embeddedDatabase } from '../support/database.js'
import { scale } from '../support/scale.js'
import { stockClient } from '../support/stock-client.js'
import { startNodes } from '../support/three-nodes.js'
import { eventNamesOf, finishAll, learningOf, viewChapter, viewJob } from '../support/views.js'

const RESULTS = {
  concept: { title: 'new', content: 'new' },
  exercise: { question: 'new', answer: 'new' },
  quiz: { quizzes: [{ question: 'new', correct_answer: 'new', type: 'short' }] },
}

t.test('clients on every node see the new run once and in order, whatever becomes of it', async (t) => {
  const { nodes } = await startNodes(t, 3)
  const urls = nodes.map(({ url }) => url)
  const at = (n: number) => urls[n % 3] ?? ''
  const id = await createChapter(at(0))
  const early = urls.map((url) => stockClient(t, url, { chapters: [id] }))
  await finishAll(at(1), id)
  const regenerate = (n: number, kind: string) => post(`${at(n)}/v1/chapter/${id}/${kind}/regenerate`)

  // All nodes are asked at once: one run begins.
  const answers = await Promise.all(JOB_KINDS.map((kind, index) => regenerate(index, kind)))
  t.same(answers.map(({ status }) => status).sort(), [202, 409, 409])
  const kind = JOB_KINDS[answers.findIndex(({ status }) => status === 202)] ?? 'concept'
  const stream = await openEvents(t, `${at(2)}/v1/chapter/${id}/events?after=8`)
  const work = await viewJob(at(1), id, kind)
  const named = { job_id: work.job_id, attempt: 1 }
  t.match((await post(`${at(2)}/v1/chapter/${id}/${kind}-start`, named)).body, { run: true })
  const finished = await Promise.all(urls.map((url) => finish(url, id, kind, { ...RESULTS[kind], ...named })))
  t.same(finished.map(({ body }) => body.status).sort(), ['duplicate', 'duplicate', 'success'])
  await stream.ended
  t.same(
    stream.events().flatMap(({ id: seq, event }) => (seq === undefined ? [] : event)),
    [`${kind}_regenerating`, `${kind}_started`, `${kind}_completed`, 'all_completed'],
  )

  // A worker that fails for good, and its result that comes all the same.
  await regenerate(1, 'exercise')
  const failing = await viewJob(at(0), id, 'exercise')
  const failed = { job_id: failing.job_id, attempt: 1 }
  await post(`${at(2)}/v1/chapter/${id}/exercise-fail`, { error: 'no', retryable: false, ...failed })
  t.match(await viewChapter(at(0), id), { status: 'completed' })
  t.match((await finish(at(1), id, 'exercise', { ...RESULTS.exercise, ...failed })).body, {
    status: 'success',
  })
  t.match((await learningOf(at(2), id)).exercise, RESULTS.exercise)

  // Cancelled in the middle.
  await regenerate(2, 'quiz')
  t.equal((await post(`${at(0)}/v1/chapter/${id}/cancel`)).status, 202)
  t.match((await finish(at(1), id, 'quiz', RESULTS.quiz)).body, { status: 'ignored' })

  const names = await eventNamesOf(at(0), id)
  t.same(names.slice(12), [
    ...['exercise_regenerating', 'exercise_failed', 'all_completed', 'exercise_completed', 'all_completed'],
    ...['quiz_regenerating', 'chapter_cancelled'],
  ])
  const late = urls.map((url) => stockClient(t, url, { chapters: [id] }))
  const clients = [...early, ...late]
  await waitFor('the end is heard', () => clients.every((client) => client.hasHeard(id, names.length)))
  t.same(
    clients.flatMap((client) => client.faults()),
    [],
  )
})

t.test('a part that is cancelled, finished and asked for at once on all nodes ends in one way', async (t) => {
  const { nodes } = await startNodes(t, 3)
  const urls = nodes.map(({ url }) => url)
  const at = (n: number) => urls[n % 3] ?? ''
  for (let round = 0; round < scale(4, 15); round += 1) {
    const id = await createChapter(at(round))
    await finishAll(at(round), id)
    await post(`${at(round)}/v1/chapter/${id}/concept/regenerate`)
    const { job_id, attempt } = await viewJob(at(round), id, 'concept')
    const named = { job_id, attempt }
    const [cancelled, finished, again] = await Promise.all([
      post(`${at(round)}/v1/chapter/${id}/cancel`),
      finish(at(round + 1), id, 'concept', { ...RESULTS.concept, ...named }),
      post(`${at(round + 2)}/v1/chapter/${id}/concept/regenerate`),
      post(`${at(round + 1)}/v1/chapter/${id}/concept-fail`, { error: 'x', retryable: false, ...named }),
    ])
    const { status } = await viewChapter(at(round), id)
    const { concept } = await learningOf(at(round), id)
    const isNew = concept.content === RESULTS.concept.content
    t.equal(concept.content, isNew ? 'new' : FINISH_BODIES.concept.content)
    t.equal(isNew, finished.body.status === 'success', JSON.stringify([status, finished.body]))
    if (cancelled.status === 202) t.equal(status, 'cancelled')
    else t.equal(status, again.status === 202 ? 'processing' : 'completed')
  }
})

t.test('with nothing but npm start a part is written again by itself', async (t) => {
  const env = { GENERATOR: 'sample', GENERATOR_DELAY_MS: '0' }
  const { url } = await buildTestApp(t, env, { database: await embeddedDatabase(t) })
  const id = await createChapter(url)
  const isCompleted = async () => (await viewChapter(url, id)).status === 'completed'
  await waitFor('it is written', isCompleted)
  for (const kind of JOB_KINDS) {
    await post(`${url}/v1/chapter/${id}/${kind}/regenerate`, { instruction: 'Use other examples.' })
    await waitFor(`the ${kind} is written again`, isCompleted)
    t.match(await viewJob(url, id, kind), { revision: 2, content_revision: 2 })
  }
})

t.test('attempts at a new revision that are never answered time out and keep what there was', async (t) => {
  const env = { GENERATION_TIMEOUT_MS: '300', GENERATION_MAX_ATTEMPTS: '2', GENERATION_RETRY_BASE_MS: '0' }
  const { url } = await buildTestApp(t, env)
  const id = await createChapter(url)
  await finishAll(url, id)
  await post(`${url}/v1/chapter/${id}/quiz/regenerate`)
  await waitFor('the run is over', async () => (await viewChapter(url, id)).status === 'completed')
  t.same((await eventNamesOf(url, id)).slice(8), [
    ...['quiz_regenerating', 'quiz_timeout', 'quiz_retrying', 'quiz_timeout', 'quiz_failed', 'all_completed'],
  ])
  t.match((await viewJob(url, id, 'quiz')).history, [
    { outcome: 'completed', revision: 1 },
    { outcome: 'failed', attempt: 1, reason: 'timeout' },
    { outcome: 'failed', attempt: 2, reason: 'timeout' },
  ])
  t.equal((await learningOf(url, id)).quizzes.length, 3)
})
