/**
 * What the client makes of events is what the server itself would show.
 */
import t from 'tap'
import type { ChapterSnapshot } from '../../src/client/index.js'
import { newSnapshot, takeEvent, takeProgress, takeView } from '../../src/client/snapshot.js'
import type { ChapterView } from '../../src/contract/chapter.js'
import { NOON } from '../support/chapters.js'
import { seeded } from '../support/random.js'
import { scale } from '../support/scale.js'
import { UnrulyChapter } from './unruly-server.js'

const WALKS = scale(40, 300)
const STEPS = 40

/** Whether a message is on its way to a worker is no event. */
const open = (status: string | null) => (status === 'published' ? 'queued' : status)

function shown({ status, progress, last_seq, title, jobs }: ChapterSnapshot | ChapterView) {
  return {
    ...{ status, progress, last_seq, title },
    jobs: Object.values(jobs).map((job) => ({
      ...{ kind: job.kind, status: open(job.status), attempt: job.attempt },
      ...{ progress: job.progress, error: job.error },
      ...{ revision: job.revision, content_revision: job.content_revision },
    })),
  }
}

t.test('whatever happens to a chapter, its events and progress tell where it stands', async (t) => {
  for (let seed = 1; seed <= WALKS; seed += 1) {
    const random = seeded(seed)
    const chapter = new UnrulyChapter(1)
    let snapshot = newSnapshot(1)
    for (let step = 0; step < STEPS; step += 1) {
      const events = chapter.advance(random, NOON + step * 60_000_000)
      snapshot = events.reduce(takeEvent, snapshot)
      const update = chapter.state?.latestProgress
      if (update) snapshot = takeProgress(snapshot, { ...update, chapter_id: 1 })
      const view = chapter.view()
      if (!t.same(shown(snapshot), shown(view), `seed ${seed}, step ${step}`)) return
      t.same(
        snapshot.results,
        Object.fromEntries(view.jobs.map((job) => [job.kind, job.content_revision !== null])),
      )
    }
  }
})

t.test('a view that events have overtaken changes nothing, a newer one stands for them', async (t) => {
  const random = seeded(1)
  const chapter = new UnrulyChapter(1)
  chapter.advance(random, NOON)
  const old = chapter.view()
  while (chapter.log.length < 8) chapter.advance(random, NOON)
  const snapshot = chapter.log.reduce(takeEvent, newSnapshot(1))
  t.equal(takeView(snapshot, old), snapshot)
  t.same(shown(takeView(newSnapshot(1), chapter.view())), shown(chapter.view()))
})
