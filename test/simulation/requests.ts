/**
 * Requests of clients and workers to the nodes, over a network that loses some of them or their answers. Whoever gets no
 * answer asks another node, as often as they like; so a command may come twice, and who asked may not know.
 */
import type { CreateReply, CreateRequest } from '../../src/chapters/group-plan.js'
import type { ChapterCommand } from '../../src/domain/command.js'
import { AppError, UnavailableError } from '../../src/errors.js'
import type { Checks } from './checks.js'
import type { SimulatedNode } from './node.js'
import type { World } from './world.js'

/** Whoever is not answered in this time asks again. */
const PATIENCE_MS = 12_000

export interface Requests {
  /** @returns undefined when nobody knows what became of it, or when it was refused */
  submit(command: ChapterCommand, how: { tries: number }): Promise<unknown>
  create(request: CreateRequest, how: { tries: number }): Promise<CreateReply | undefined>
}

type Answer<T> = { reply: T } | { error: unknown } | 'lost'

export function createRequests(world: World, checks: Checks, nodes: () => SimulatedNode[]): Requests {
  /** To any node; the answer comes back to whoever asked. */
  function ask<T>(call: (node: SimulatedNode) => Promise<T>): Promise<Answer<T>> {
    const { time, random, hazards } = world
    const asker = time.owner
    const node = random.pick(nodes())
    return new Promise((resolve) => {
      const timer = time.after(PATIENCE_MS, asker, () => resolve('lost'))
      const answer = (outcome: Answer<T>) => {
        if (random() < hazards.request) return
        world.send(asker, () => {
          timer.call = undefined
          resolve(outcome)
        })
      }
      if (random() < hazards.request) return
      world.send(node.life, () => {
        call(node).then(
          (reply) => answer({ reply }),
          (error: unknown) => answer({ error }),
        )
      })
    })
  }

  async function insist<T>(
    tries: number,
    call: (node: SimulatedNode) => Promise<T>,
    onLost?: () => void,
  ): Promise<T | undefined> {
    for (let count = 1; count <= tries; count++) {
      const answer = await ask(call)
      if (answer !== 'lost' && 'reply' in answer) return answer.reply
      if (answer !== 'lost' && !(answer.error instanceof UnavailableError)) {
        if (!(answer.error instanceof AppError)) checks.unexpected(answer.error)
        return undefined
      }
      world.count(answer === 'lost' ? 'unanswered' : 'unavailable')
      if (answer === 'lost') onLost?.()
      await world.sleep(world.between(50, 1000))
    }
    return undefined
  }

  return {
    async submit(command, { tries }) {
      world.count('commands')
      const call = (node: SimulatedNode) => {
        world.record('asks', command)
        return node.groups.submit(command).then((reply) => {
          world.record('answers', { ...command, reply })
          return { reply }
        })
      }
      // A worker whose start was taken and not answered asks again, hears that it runs already, and leaves it.
      const onLost = command.type === 'start' ? () => world.trouble() : undefined
      const reply = await insist(tries, call, onLost)
      if (reply !== undefined) checks.answered(command, reply.reply)
      return reply?.reply
    },
    async create(request, { tries }) {
      for (const _ of request.chapters) world.count('commands')
      const reply = await insist(tries, (node) => node.groups.createAll(request))
      if (reply !== undefined) checks.created(request, reply)
      return reply
    },
  }
}
