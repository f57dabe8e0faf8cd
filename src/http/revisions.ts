/**
 * A kind written again, and what was there before: for the owner, an admin, or a token that shows answers.
 */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { requireAnswers, requireRead } from '../auth/access.js'
import type { CommitGroups } from '../chapters/commit-group.js'
import { AttemptView, HISTORY_LENGTH, type JobKind } from '../contract/job.js'
import {
  KindParams,
  RegenerateRequest,
  RestoreRequest,
  RevisionAccepted,
  RevisionList,
  RevisionParams,
  RevisionSummary,
  RevisionView,
} from '../contract/revision.js'
import { toWire } from '../contract/wire.js'
import { type ChapterState, contentRevisionOf, isKept, isRunning, type JobState } from '../domain/chapter.js'
import type { EndedAttempt, FinishResult } from '../domain/command.js'
import { ChapterNotFoundError, RevisionNotFoundError } from '../errors.js'
import type { ChapterStore } from '../store/chapters.js'
import type { ChapterHistory, RevisionStore } from '../store/revisions.js'
import { type ClientAuth, CLIENT_SECURITY as security } from './auth.js'
import { ownerCheck } from './owner.js'
import { problems } from './responses.js'

export interface RevisionRoutesOptions {
  groups: Pick<CommitGroups, 'submit'>
  chapters: Pick<ChapterStore, 'readChapter'>
  revisions: Pick<RevisionStore, 'readRevisions' | 'readRevision'>
  clients: ClientAuth
}

const tags = ['Chapters']

export const revisionRoutes: FastifyPluginAsyncTypebox<RevisionRoutesOptions> = async (app, options) => {
  const { groups, chapters, revisions, clients } = options
  const requireOwner = ownerCheck(clients, chapters)
  app.addHook('onRequest', clients.authenticate)

  app.post(
    '/v1/chapter/:id/:kind/regenerate',
    {
      // Nothing has to be said. Trimmed before it is measured: the limit is on what is kept.
      preValidation: (request, _reply, done) => {
        request.body ??= {}
        const body = request.body as { instruction?: unknown }
        if (typeof body.instruction === 'string') body.instruction = body.instruction.trim()
        done()
      },
      schema: {
        operationId: 'regenerate',
        tags,
        security,
        summary: 'Have one kind written again',
        description:
          'A run begins with `{kind}_regenerating` and ends with `all_completed` or `chapter_failed`. Until the new result is ' +
          'stored the old one can be read, and it stays for good when the new one fails.',
        params: KindParams,
        body: RegenerateRequest,
        response: { 202: RevisionAccepted, ...problems(400, 401, 403, 404, 409, 413, 415, 503) },
      },
    },
    async (request, reply) => {
      const { id: chapterId, kind } = request.params
      await requireOwner(request, chapterId)
      const instruction = request.body.instruction ?? null
      const accepted = await groups.submit({ type: 'regenerate', chapterId, kind, instruction })
      return reply.code(202).send(accepted)
    },
  )

  app.get(
    '/v1/chapter/:id/:kind/revisions',
    {
      schema: {
        operationId: 'listRevisions',
        tags,
        security,
        summary: 'What one kind has been',
        description: 'For the owner, an admin, or a token with `answers: true`.',
        params: KindParams,
        response: { 200: RevisionList, ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const { id, kind } = request.params
      const found = await revisions.readRevisions(id, kind)
      if (found === undefined) throw new ChapterNotFoundError(id)
      requireReadRevisions(request, found)
      return { revisions: found.revisions.map((revision) => toWire(RevisionSummary, revision)) }
    },
  )

  app.get(
    '/v1/chapter/:id/:kind/revisions/:revision',
    {
      schema: {
        operationId: 'getRevision',
        tags,
        security,
        summary: 'One revision with its content',
        description: 'For the owner, an admin, or a token with `answers: true`.',
        params: RevisionParams,
        querystring: Type.Object({
          answers: Type.Optional(Type.Boolean({ description: 'Also the answers', default: false })),
        }),
        response: { 200: RevisionView, ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const { id, kind, revision } = request.params
      const { revision: found, content } = await readRevision(request, id, kind, revision)
      const shown = contentView(kind, content, request.query.answers === true)
      return { ...toWire(RevisionSummary, found), ...shown }
    },
  )

  app.post(
    '/v1/chapter/:id/:kind/restore',
    {
      schema: {
        operationId: 'restoreRevision',
        tags,
        security,
        summary: 'Bring an earlier revision back',
        description:
          'At once, without a run: its content becomes the current one as a revision of its own, told by ' +
          '`{kind}_completed`. The current one’s number changes nothing.',
        params: KindParams,
        body: RestoreRequest,
        response: { 200: RevisionAccepted, ...problems(400, 401, 403, 404, 409, 413, 415, 503) },
      },
    },
    async (request) => {
      const { id: chapterId, kind } = request.params
      const { revision } = request.body
      await requireOwner(request, chapterId)
      const { revision: found, content } = await readRevision(request, chapterId, kind, revision)
      return await groups.submit({
        type: 'restore',
        chapterId,
        kind,
        revision,
        instruction: found.instruction,
        content: found.isCurrent ? undefined : ({ kind, result: content } as unknown as FinishResult),
      })
    },
  )

  async function readRevision(request: object, chapterId: number, kind: JobKind, revision: number) {
    const found = await revisions.readRevision(chapterId, kind, revision)
    if (found === undefined) throw new ChapterNotFoundError(chapterId)
    requireReadRevisions(request, found)
    if (found.revision === null) throw new RevisionNotFoundError(kind, revision)
    return found
  }

  function requireReadRevisions(
    request: object,
    { chapter }: { chapter: Parameters<typeof requireRead>[1] },
  ): void {
    const { access } = clients.identityOf(request)
    requireRead(access, chapter)
    requireAnswers(access, chapter)
  }
}

/** What the learning view has of that kind. */
function contentView(
  kind: JobKind,
  content: Record<string, unknown>,
  withAnswers: boolean,
): Omit<RevisionView, keyof RevisionSummary> {
  const shown = (all: Record<string, unknown>, answer: string) => {
    const { [answer]: hidden, ...rest } = all
    return withAnswers ? all : rest
  }
  switch (kind) {
    case 'concept':
      return { concept: content as NonNullable<RevisionView['concept']> }
    case 'exercise':
      return { exercise: shown(content, 'answer') as NonNullable<RevisionView['exercise']> }
    case 'quiz': {
      const quizzes = content.quizzes as Record<string, unknown>[]
      return {
        quizzes: quizzes.map((quiz) => shown(quiz, 'correct_answer')) as NonNullable<RevisionView['quizzes']>,
      }
    }
  }
}

/** A job’s revisions and attempts, as its view has them. */
export function revisionFields(
  { updatedAt }: ChapterState,
  job: JobState,
  past: ChapterHistory[JobKind] = { attempts: [], storedAt: null },
) {
  const contentRevision = contentRevisionOf(job)
  return {
    revision: isRunning(job) ? job.revision : (contentRevision ?? job.revision),
    contentRevision,
    history: historyOf(job, past, updatedAt).map((attempt) => toWire(AttemptView, attempt)),
  }
}

/** The attempts that were noted, and the last one, whose end the job itself tells. */
function historyOf(
  job: JobState,
  { attempts, storedAt }: NonNullable<ChapterHistory[JobKind]>,
  updatedAt: number,
): EndedAttempt[] {
  const { kind, revision, jobId, attempt, startedAt, status } = job
  const isNoted = attempts.some((noted) => noted.jobId === jobId && noted.attempt === attempt)
  const isOver = status === 'completed' || status === 'cancelled'
  if (isNoted || !isOver || isKept(job)) return attempts
  const last: EndedAttempt = {
    ...{ kind, revision, jobId, attempt, startedAt, reason: null, error: null },
    outcome: status,
    // A cancelled chapter is not written again.
    endedAt: status === 'cancelled' ? updatedAt : storedAt,
  }
  return [...attempts, last].slice(-HISTORY_LENGTH)
}
