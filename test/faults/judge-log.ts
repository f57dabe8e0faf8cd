/** What a chapter’s log must look like, whatever happened. Pure: rows in, breaches out. */
import { isEndEvent } from '../../src/contract/event.js'
import type { Promised } from './promises.js'

export interface LoggedEvent {
  seq: number
  name: string
  payload: { attempt?: number; reason?: string; revision?: number; kept?: boolean }
}

export interface ChapterRow {
  status: string
  lastSeq: number
}

export type Breach = readonly [promise: Promised, what: string]

const BUSY = ['rate_limited', 'unavailable']

export function judgeLog({ status, lastSeq }: ChapterRow, log: readonly LoggedEvent[]): Breach[] {
  const breaches: Breach[] = []
  const dense = log.every(({ seq }, index) => seq === index + 1)
  if (!dense || log.length !== lastSeq)
    breaches.push(['hole', `last seq ${lastSeq}, log ${log.map(({ seq }) => seq).join(' ')}`])

  let isRunning = true
  let lastEnd = ''
  /** Kinds whose last regeneration failed, so that there is the content from before. */
  const kept = new Set<string>()
  let isLateResult = false
  const attempts = new Map<string, number>()
  const completed = new Set<string>()
  for (const { seq, name, payload } of log) {
    const [kind = '', ...rest] = name.split('_')
    const what = rest.join('_')
    if (name === 'chapter_retrying' || what === 'regenerating') {
      isRunning = true
      attempts.clear()
    }
    if (what === 'failed' && payload.kept === true) kept.add(kind)
    if (isEndEvent(name)) {
      // A late result may complete what had failed, a regeneration too.
      if (!isRunning && !(name === 'all_completed' && (lastEnd === 'chapter_failed' || isLateResult)))
        breaches.push(['ends', `${seq} ${name} after ${lastEnd}`])
      isRunning = false
      lastEnd = name
    }
    isLateResult = what === 'completed' && kept.delete(kind)
    if (what === 'regenerating') kept.delete(kind)
    if (what === 'retrying' && kind !== 'chapter') {
      const before = attempts.get(kind) ?? 1
      const { attempt = 0, reason = '' } = payload
      attempts.set(kind, attempt)
      if (BUSY.includes(reason) && attempt !== before)
        breaches.push(['busy', `${seq} ${name}: attempt ${before} became ${attempt} (${reason})`])
    }
    if (what === 'completed' && kind !== 'all') {
      const result = `${kind} ${payload.revision ?? 1}`
      if (completed.has(result)) breaches.push(['doubledResult', `${seq} ${name} again`])
      completed.add(result)
    }
  }
  if (isRunning || status === 'processing') breaches.push(['hanging', `${status} after ${log.at(-1)?.name}`])
  return breaches
}
