/**
 * What a part has been takes up only so much room, however often it is written again.
 */
import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { createChapter, finish, post, request } from '../support/client.js'
import { DATABASES } from '../support/database.js'
import { finishAll, learningOf, viewJob } from '../support/views.js'

const MAX_REVISIONS = 2

for (const [name, open] of Object.entries(DATABASES))
  t.test(`${name}: the oldest revisions go, and never the current one`, async (t) => {
    const database = await open(t)
    const { url } = await buildTestApp(t, { MAX_REVISIONS: String(MAX_REVISIONS) }, { database })
    const id = await createChapter(url)
    const at = (path: string) => `${url}/v1/chapter/${id}/concept/${path}`
    const kept = async () =>
      (await request(at('revisions'))).body.revisions.map(
        ({ revision, is_current }: { revision: number; is_current: boolean }) =>
          `${revision}${is_current ? ' current' : ''}`,
      )
    const write = (n: number) => finish(url, id, 'concept', { title: `Title ${n}` })
    const failAgain = async () => {
      await post(at('regenerate'), { instruction: 'better' })
      const { attempt, job_id } = await viewJob(url, id, 'concept')
      const body = { error: 'no', retryable: false, attempt, job_id }
      t.equal((await post(`${url}/v1/chapter/${id}/concept-fail`, body)).status, 200)
    }

    await finishAll(url, id, ['exercise', 'quiz'])
    await write(1)
    for (let n = 2; n <= 5; n += 1) {
      await post(at('regenerate'))
      await write(n)
    }
    t.same(await kept(), ['3', '4', '5 current'])

    for (let count = 0; count < 4; count += 1) await failAgain()
    t.same(await kept(), ['4', '5 current'], 'what failed takes no room')
    t.match(await learningOf(url, id), { concept: { title: 'Title 5' } })

    t.match(await post(at('restore'), { revision: 1 }), {
      status: 404,
      body: { code: 'revision_not_found' },
    })
    t.equal((await request(at('revisions/3'))).status, 404)
    t.equal((await post(at('restore'), { revision: 4 })).status, 200)
    t.match(await learningOf(url, id), { concept: { title: 'Title 4' } })
    t.same(await kept(), ['4', '5', '10 current'], 'what was brought back is a revision of its own')
  })
