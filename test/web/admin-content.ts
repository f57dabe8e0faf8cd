/**
 * Something of everything that the operators’ page shows.
 */
import { create, fail, finish, KINDS, post, start } from './worker.js'

/** Returns the chapter that has a story. @param url of a server with `NOTIFY_URL` */
export async function fillForOperators(url: string): Promise<number> {
  const done = await create(url, '다 된 챕터', '', 'ko')
  for (const kind of KINDS) await finish(url, done, kind)
  const id = await create(url, 'Donaudampfschifffahrtsgesellschaftskapitän'.repeat(4))
  await finish(url, id, 'concept')
  await start(url, id, 'exercise')
  await fail(url, id, 'exercise', { error: 'x'.repeat(300), reason: 'model_error' })
  await fail(url, id, 'quiz', { error: 'No', reason: 'refused', retryable: false })
  const hanging = await create(url, 'Hanging')
  await start(url, hanging, 'quiz')
  const admin = `${url}/v1/admin`
  await post(`${admin}/kinds/concept/pause`, { reason: 'y'.repeat(200) })
  await create(url, 'While it is paused')
  await post(`${admin}/chapter/${hanging}/quiz/end`, { error: 'It hangs' })
  await post(`${admin}/chapter/${id}/concept/restart`, {}).catch(() => undefined)
  // Of an owner who has none.
  await post(`${admin}/dead-letters/redrive`, { filter: { owner_id: 99 } })
  return id
}

/** The address of each view, with everything in it that there is. @param id of the chapter with a story */
export const operatorViews = (id: number) => [
  '?view=stuck&unsent_s=0&unstarted_s=0&silent_s=0',
  `?view=chapter&id=${id}`,
  '?view=dead-letters',
  '?view=kinds',
  '?view=notices',
  '?view=audit',
]
