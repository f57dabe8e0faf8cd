/**
 * Who may change a chapter: its owner and an admin.
 */
import type { FastifyRequest } from 'fastify'
import { requireChange } from '../auth/access.js'
import { ChapterNotFoundError } from '../errors.js'
import type { ChapterStore } from '../store/chapters.js'
import type { ClientAuth } from './auth.js'

/** Rejects whoever may not change the chapter. Whose it is never changes, so it may be read before. */
export function ownerCheck(
  clients: Pick<ClientAuth, 'identityOf'>,
  chapters: Pick<ChapterStore, 'readChapter'>,
): (request: FastifyRequest, chapterId: number) => Promise<void> {
  return async (request, chapterId) => {
    const { access } = clients.identityOf(request)
    if (access.kind === 'anyone') return
    const state = await chapters.readChapter(chapterId)
    if (state === undefined) throw new ChapterNotFoundError(chapterId)
    requireChange(access, state.ownerId)
  }
}
