/** A worker that works on what goes out, asks any of the nodes, and counts how much is out at once. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import type { GenerationMessage } from '../../src/contract/generation.js'
import { FINISH_BODIES, post } from './client.js'

export function countingWorker(
  t: Test,
  messages: () => readonly GenerationMessage[],
  urls: () => readonly string[],
) {
  const known = new Set<string>()
  const out = new Set<string>()
  let most = 0
  let isStopped = false
  const answers: string[] = []
  t.teardown(() => {
    isStopped = true
  })
  async function answer({ kind, chapter_id, job_id, attempt }: GenerationMessage): Promise<void> {
    const key = `${job_id} ${attempt}`
    await delay(5 + Math.random() * 20)
    while (!isStopped) {
      const url = urls()[Math.floor(Math.random() * urls().length)] ?? ''
      // Before the answer: as soon as it is stored, its place is another’s.
      out.delete(key)
      const answered = await post(
        `${url}/v1/chapter/${chapter_id}/${kind}-finish`,
        FINISH_BODIES[kind],
      ).catch(() => null)
      if (answered?.status === 200) break
      out.add(key)
      await delay(50)
    }
    answers.push(`${chapter_id} ${kind}`)
  }
  async function run(): Promise<void> {
    let read = 0
    while (!isStopped) {
      for (const message of messages().slice(read)) {
        read += 1
        const key = `${message.job_id} ${message.attempt}`
        if (known.has(key)) continue
        known.add(key)
        out.add(key)
        most = Math.max(most, out.size)
        void answer(message)
      }
      await delay(10)
    }
  }
  void run()
  return {
    answers,
    get most() {
      return most
    },
  }
}
