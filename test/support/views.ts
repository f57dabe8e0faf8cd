/**
 * Looking at a chapter from outside, as its clients do.
 */
import type { ChapterView } from '../../src/contract/chapter.js'
import type { EventList } from '../../src/contract/event.js'
import { JOB_KINDS, type JobKind, type JobView } from '../../src/contract/job.js'
import { finish, request } from './client.js'
import { waitFor } from './condition.js'

export async function viewChapter(url: string, id: number): Promise<ChapterView> {
  return (await request(`${url}/v1/chapter/${id}`)).body
}

export async function viewJob(url: string, id: number, kind: JobKind): Promise<JobView> {
  const { jobs } = await viewChapter(url, id)
  const job = jobs.find((job) => job.kind === kind)
  if (job === undefined) throw new Error(`chapter ${id} has no ${kind}`)
  return job
}

export async function learningOf(url: string, id: number) {
  return (await request(`${url}/v1/chapter/${id}/learning?answers=true`)).body
}

/** Logged events, oldest first: each has its name as `event` beside its payload. */
export async function eventsOf(url: string, id: number, after = 0) {
  const { body } = await request(`${url}/v1/chapter/${id}/events?after=${after}`)
  // biome-ignore lint/suspicious/noExplicitAny: a test asserts on what came, of whatever shape
  return (body as EventList).events.map(({ event, data }) => ({ event, ...data }) as Record<string, any>)
}

export async function eventNamesOf(url: string, id: number, after = 0): Promise<string[]> {
  return (await eventsOf(url, id, after)).map(({ event }) => event)
}

/** Waits until a job is `published`, by default each of the three; a message is out then, and its deadline runs. */
export async function untilPublished(
  url: string,
  id: number,
  kinds: readonly JobKind[] = JOB_KINDS,
): Promise<void> {
  await waitFor(`${kinds.join(', ')} of chapter ${id} published`, async () => {
    const { jobs } = await viewChapter(url, id)
    return kinds.every((kind) => jobs.find((job) => job.kind === kind)?.status === 'published')
  })
}

export async function finishAll(url: string, id: number, kinds: readonly JobKind[] = JOB_KINDS) {
  for (const kind of kinds) await finish(url, id, kind)
}
