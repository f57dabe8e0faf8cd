/**
 * Reads what a file of tests writes (TAP) and prints what a reader wants: every failure with its place and details,
 * then a line for the file. Counts test cases.
 *
 * A case is a test without tests inside. A test or file that has some counts as a failed case of its own
 * when it fails although none inside did: it threw after them, ran out of time, or ended with an error.
 */

import type { Readable } from 'node:stream'
import { inspect, stripVTControlCharacters } from 'node:util'
import { type FinalResults, Parser, type Result } from 'tap-parser'

export interface Tally {
  passed: number
  failed: number
  skipped: number
}

/**
 * Prints failures as the output arrives. At its end resolves to what makes the file's verdict, once it is known how
 * its process ended: `failure` says what was wrong with that, if anything.
 */
export async function reportFile(
  file: string,
  output: Readable,
  print: (text: string) => void,
): Promise<(failure: string | undefined, tookMs: number, cpuMs: number) => Tally> {
  const parser = new Parser()
  const findings = watch(parser, [file], print)
  const ended = new Promise<FinalResults>((resolve) => {
    parser.on('complete', resolve)
  })
  for await (const chunk of output.setEncoding('utf8')) parser.write(chunk)
  parser.end()
  const results = await ended
  return (processFailure, tookMs, cpuMs) => {
    const { tally } = findings
    const isEmpty = results.plan.skipReason === 'no tests found'
    const failure = processFailure ?? (isEmpty ? 'it has no tests' : undefined)
    const ok = results.ok && failure === undefined
    if (!ok && !findings.explained) print(describeFailure(file, [], { failure, ...whyOf(results) }))
    if (ok && results.plan.skipAll) tally.skipped += 1
    else settle(tally, ok, !ok)
    print(describeFile(file, ok, tally, { tookMs, cpuMs }))
    return tally
  }
}

/** What is known of a test, or of the whole run, while its output is read. */
interface Findings {
  tally: Tally
  /** Whether a failure inside was printed, so that its own verdict has nothing to add. */
  explained: boolean
}

function watch(parser: Parser, path: readonly string[], print: (text: string) => void): Findings {
  const findings: Findings = { tally: { passed: 0, failed: 0, skipped: 0 }, explained: false }
  let inside: { name: string; findings: Findings } | undefined
  parser.on('child', (child) => {
    inside = { name: child.name, findings: watch(child, [...path, child.name], print) }
  })
  parser.on('assert', (result) => {
    const test = inside?.name === result.name ? inside?.findings : undefined
    if (test) inside = undefined
    const isFailure = !result.ok && !result.todo && !(test === undefined && result.skip)
    if (isFailure && !test?.explained) print(describeFailure(result.name, path, detailsOf(result)))
    if (isFailure) findings.explained = true
    if (test) settle(test.tally, result.ok, isFailure)
    else if (result.todo || result.skip) findings.tally.skipped += 1
    if (test) add(findings.tally, test.tally)
  })
  parser.on('bailout', (reason) => print(`Bail out! ${reason}`))
  parser.on('extra', (text) => {
    // What tests write to standard output.
    if (stripVTControlCharacters(text).trim() !== '') print(text.trimEnd())
  })
  return findings
}

/** Counts a test that has ended, beyond the tests inside it. */
function settle(tally: Tally, ok: boolean, isFailure: boolean): void {
  if (isFailure && tally.failed === 0) tally.failed = 1
  else if (ok && tally.passed + tally.failed + tally.skipped === 0) tally.passed = 1
}

function add(sum: Tally, tally: Tally): void {
  sum.passed += tally.passed
  sum.failed += tally.failed
  sum.skipped += tally.skipped
}

/** Wall time tells how busy the machine was; only CPU time can be compared between runs. */
function describeFile(
  file: string,
  ok: boolean,
  tally: Tally,
  { tookMs, cpuMs }: { tookMs: number; cpuMs: number },
): string {
  const [took, cpu] = [tookMs, cpuMs].map((ms) => (ms / 1000).toFixed(1))
  const counts = Object.entries(tally).flatMap(([what, count]) => (count ? [`${count} ${what}`] : []))
  return `${ok ? 'ok  ' : 'FAIL'}  ${file}  ${counts.join(', ')}  ${took} s (CPU ${cpu} s)`
}

/** What TAP itself finds wrong with a file that has no failed test, e.g. that it ended before its plan. */
function whyOf({ failures }: FinalResults): Record<string, unknown> {
  const [first] = failures
  return first && 'tapError' in first ? { tapError: first.tapError } : {}
}

/** Details of tap's that say how it ran a test, not why that failed. */
const HOW_IT_RAN = ['stdio', 'cwd', 'externalID', 'command', 'args', 'jobId', 'tapCaught']

function detailsOf(result: Result): Record<string, unknown> {
  const details = Object.entries((result.diag ?? {}) as Record<string, unknown>)
  return Object.fromEntries(details.filter(([key]) => !HOW_IT_RAN.includes(key)))
}

function describeFailure(name: string, path: readonly string[], details: Record<string, unknown>): string {
  const { at, source, stack, ...why } = details
  const lines = [shown(why), source, stack ?? (at && shown({ at }))]
  const text = lines.map((line) => String(line ?? '').trimEnd()).filter(Boolean)
  return `\nnot ok  ${[...path, name].join(' > ')}\n${indented(text.join('\n'))}\n`
}

function shown(value: unknown): string {
  if (typeof value === 'string') return value.trimEnd()
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return inspect(value)
  return Object.entries(value)
    .map(([key, inner]) => [key, shown(inner)] as const)
    .map(([key, text]) => (text.includes('\n') ? `${key}:\n${indented(text)}` : `${key}: ${text}`))
    .join('\n')
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '    ')
}
