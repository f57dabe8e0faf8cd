import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { connectSocket, createChapter, FINISH_BODIES, finish, request } from '../support/client.js'

t.test(
  'a client that created first and joined after hears the whole chapter, once and in order',
  async (t) => {
    const { url } = await buildTestApp(t)
    const chapterId = await createChapter(url)
    const client = await connectSocket(t, url)
    const ack = await client.ask('join_chapter', { chapter_id: chapterId })
    t.match(ack, { ok: true, chapter_id: chapterId, status: 'processing', progress: 0, last_seq: 4 })

    for (const kind of ['concept', 'exercise', 'quiz'] as const)
      t.match((await finish(url, chapterId, kind)).body, { status: 'success', chapter_id: chapterId })
    await client.hears('all_completed')

    t.same(client.logged(), [
      'chapter_processing_started',
      'concept_processing',
      'exercise_processing',
      'quiz_processing',
      'concept_completed',
      'exercise_completed',
      'quiz_completed',
      'all_completed',
    ])
    t.same(
      client.heard.filter(({ payload }) => payload.seq).map(({ payload }) => payload.seq),
      [1, 2, 3, 4, 5, 6, 7, 8],
    )
    const { body } = await request(`${url}/v1/chapter/${chapterId}/learning?answers=true`)
    t.match(body, {
      status: 'completed',
      progress: 100,
      concept: { ...FINISH_BODIES.concept, is_complete: true },
      exercise: { ...FINISH_BODIES.exercise, is_complete: true },
    })
    t.equal(body.quizzes.length, 3)
  },
)
