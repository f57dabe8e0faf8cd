/**
 * Runs a workflow as n8n does, as far as ours go: one item, node by node, expressions in a context with n8n’s names
 * and nothing else. What it cannot show is that n8n itself takes the files.
 */
import { createContext, Script } from 'node:vm'
import type { Workflow } from '../../src/n8n/workflow.js'

type Json = Record<string, unknown>
type Node = Workflow['nodes'][number]

export interface Call {
  node: string
  url: string
  body: Json
}
/** What an HTTP Request node puts out. `NODE_FAILED`: it failed as a whole, and its input goes on in its place. */
export type Answer = Json | typeof NODE_FAILED
export const NODE_FAILED = Symbol('the node failed as a whole')

export interface Run {
  calls: Call[]
  /** Names of the nodes, in the order they ran. */
  path: string[]
  /** What is kept with the execution. */
  noted: Record<string, unknown>
  /** Of a Stop and Error node: the execution is red. */
  error: string | undefined
}

const MAX_STEPS = 500
const SCRIPTS = new Map<string, Script>()

/**
 * @param trigger name of the node that it begins with
 * @param given what that node puts out
 * @param now moves on by what Wait nodes wait
 */
export function runWorkflow(
  workflow: Workflow,
  trigger: string,
  given: Json,
  answer: (call: Call, nth: number) => Answer,
  now = Date.now(),
): Run {
  const outputs = new Map<string, Json>()
  const runs = new Map<string, number>()
  const run: Run = { calls: [], path: [], noted: {}, error: undefined }
  let at = now
  let item: Json = given
  let name = trigger

  const evaluate = (expression: unknown): unknown => {
    if (typeof expression !== 'string' || !expression.startsWith('=')) return expression
    const whole = /^=\{\{([\s\S]*)\}\}$/.exec(expression)?.[1]
    if (whole !== undefined && !whole.includes('}}')) return inContext(`(${whole})`)
    return expression
      .slice(1)
      .replaceAll(/\{\{([\s\S]*?)\}\}/g, (_all, inner: string) => String(inContext(`(${inner})`)))
  }
  class Clock extends Date {
    static override now = () => at
  }
  const $ = (node: string) => {
    const json = outputs.get(node)
    if (json === undefined) throw new Error(`${node} has not run`)
    return { first: () => ({ json }) }
  }
  const context = createContext({ $, $json: item, $runIndex: 0, Date: Clock })
  const inContext = (code: string): unknown => {
    Object.assign(context, { $json: item, $runIndex: (runs.get(name) ?? 1) - 1 })
    const script = SCRIPTS.get(code) ?? new Script(code)
    SCRIPTS.set(code, script)
    const value: unknown = script.runInContext(context)
    // Without the context’s own prototypes.
    return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
  }
  const holds = (conditions: unknown) => {
    const [condition] = (conditions as { conditions: { leftValue: string }[] }).conditions
    const value = evaluate(condition?.leftValue)
    if (typeof value !== 'boolean')
      throw new Error(`${name}: ${String(value)} is no boolean, which n8n refuses`)
    return value
  }

  for (let step = 0; step < MAX_STEPS; step += 1) {
    const node = workflow.nodes.find((each) => each.name === name) as Node
    const { parameters } = node
    run.path.push(name)
    runs.set(name, (runs.get(name) ?? 0) + 1)
    let output = 0
    switch (node.type.split('.').at(-1)) {
      case 'set': {
        const { assignments } = parameters.assignments as { assignments: { name: string; value: unknown }[] }
        const fields = assignments.map((field) => [field.name, evaluate(field.value)])
        item = { ...(parameters.includeOtherFields === true ? item : {}), ...Object.fromEntries(fields) }
        break
      }
      case 'executionData': {
        const { values } = parameters.dataToSave as { values: { key: string; value: unknown }[] }
        for (const { key, value } of values) {
          const noted = evaluate(value)
          if (typeof noted !== 'string') throw new Error(`${name}: ${key} is no text, which n8n refuses`)
          run.noted[key] = noted
        }
        break
      }
      case 'if':
        output = holds(parameters.conditions) ? 0 : 1
        break
      case 'switch': {
        const { values } = parameters.rules as { values: { conditions: unknown }[] }
        const rule = values.findIndex(({ conditions }) => holds(conditions))
        output = rule < 0 ? values.length : rule
        break
      }
      case 'wait':
        at += Number(evaluate(parameters.amount)) * 1000
        break
      case 'httpRequest': {
        const body = JSON.parse(evaluate(parameters.jsonBody) as string) as Json
        const call = { node: name, url: evaluate(parameters.url) as string, body }
        run.calls.push(call)
        const answered = answer(call, runs.get(name) ?? 1)
        if (answered !== NODE_FAILED) item = answered
        break
      }
      case 'stopAndError':
        run.error = String(evaluate(parameters.errorMessage))
        break
    }
    outputs.set(name, item)
    const next = workflow.connections[name]?.main[output]?.[0]
    if (next === undefined) return run
    name = next.node
  }
  throw new Error(`it does not end: ${run.path.slice(-10).join(', ')}`)
}
