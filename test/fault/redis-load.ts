/**
 * Chapters that go on while Redis is away, and those that follow them.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import type { TestNode } from '../support/three-nodes.js'
import { liveChapter, type Report, underLoad, type Watcher, watch } from '../support/watch.js'

/** Between a chapter of one lane and its next. */
export const PAUSE_MS = 30
export const LOAD = { timeoutMs: 30_000, everyMs: 20 }

/** Two sockets on each node, one of them on long-polling. */
export async function watchAll(t: Test, nodes: readonly TestNode[]): Promise<Watcher[][]> {
  return await Promise.all(
    nodes.map(({ url }) => Promise.all([watch(t, url), watch(t, url, [], { transports: ['polling'] })])),
  )
}

/** Chapter after chapter, all on the first node. */
export function chaptersOn(nodes: readonly TestNode[], watchers: readonly Watcher[]) {
  return underLoad(async () => {
    await liveChapter(nodes, watchers, () => 0)
    await delay(PAUSE_MS)
  })
}

export async function statesOf(nodes: readonly TestNode[]): Promise<(string | undefined)[]> {
  return await Promise.all(nodes.map(async (node) => (await node.readyz()).dependencies.redis))
}

export async function areHearing(nodes: readonly TestNode[]): Promise<boolean> {
  return (await statesOf(nodes)).every((state) => state === 'ok')
}

export async function anyHearing(nodes: readonly TestNode[]): Promise<boolean> {
  return (await statesOf(nodes)).includes('ok')
}

export function tell(t: Test, fault: string, { lost, repeated, disordered, heard, ...times }: Report): void {
  t.comment(
    `${fault}: ${heard} heard, ${lost} lost, ${repeated} repeated, ${disordered} disordered, ${late(times)}`,
  )
}

export function late({ p50Ms, maxMs }: { p50Ms: number; maxMs: number }): string {
  return `late p50 ${p50Ms} ms, max ${maxMs} ms`
}
