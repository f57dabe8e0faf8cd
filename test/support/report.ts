/**
 * Reads tap's output and prints what a reader wants: a line per file, and every failure with its place
 * and details. Counts test cases.
 *
 * A case is a test without tests inside. A test or file that has some counts as a failed case of its own
 * when it fails although none inside did: it threw after them, ran out of time, or ended with an error.
 */

import type { Readable } from 'node:stream'
import { inspect, stripVTControlCharacters } from 'node:util'
import { Parser, type Result } from 'tap-parser'

export interface Tally {
  passed: number
  failed: number
  skipped: number
}

/** Reports as the output arrives; resolves with the totals at its end. */
export async function reportTap(output: Readable, print: (text: string) => void): Promise<Tally> {
  const parser = new Parser()
  const { tally } = watch(parser, [], print)
  for await (const chunk of output.setEncoding('utf8')) parser.write(chunk)
  parser.end()
  return tally
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
    if (isFailure && !test?.explained) print(describeFailure(result, path))
    if (isFailure) findings.explained = true
    if (test) settle(test.tally, result.ok, isFailure)
    else if (result.todo || result.skip) findings.tally.skipped += 1
    // At the top there is no test for an assertion to belong to.
    else if (isFailure && path.length === 0) findings.tally.failed += 1
    if (test) add(findings.tally, test.tally)
    if (test && path.length === 0) print(describeFile(result, test.tally))
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

function describeFile({ ok, name, time }: Result, tally: Tally): string {
  const counts = Object.entries(tally).flatMap(([what, count]) => (count ? [`${count} ${what}`] : []))
  const seconds = time === null ? '' : `  ${(time / 1000).toFixed(1)} s`
  return `${ok ? 'ok  ' : 'FAIL'}  ${name}  ${counts.join(', ')}${seconds}`
}

/** Details of tap's that say how it ran a file, not why that failed. */
const HOW_IT_RAN = ['stdio', 'cwd', 'externalID', 'command', 'args', 'jobId', 'tapCaught']

function describeFailure(result: Result, path: readonly string[]): string {
  const { at, source, stack, ...details } = (result.diag ?? {}) as Record<string, unknown>
  const why = Object.entries(details).filter(([key]) => !HOW_IT_RAN.includes(key))
  const lines = [shown(Object.fromEntries(why)), source, stack ?? (at && shown({ at }))]
  const text = lines.map((line) => String(line ?? '').trimEnd()).filter(Boolean)
  return `\nnot ok  ${[...path, result.name].join(' > ')}\n${indented(text.join('\n'))}\n`
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
