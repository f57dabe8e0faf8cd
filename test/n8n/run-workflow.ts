/**
 * Runs a workflow as n8n does, as far as ours go: one item, node by node, expressions and Code nodes in a context
 * with n8n’s names and nothing else. What it cannot show is that n8n itself takes the files.
 */
import { runInNewContext } from 'node:vm'
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
  /** Of a Stop and Error node. */
  error: string | undefined
}

const MAX_STEPS = 500

/** @param now moves on by what Wait nodes wait */
export function runWorkflow(
  workflow: Workflow,
  message: unknown,
  answer: (call: Call, nth: number) => Answer,
  now = Date.now(),
): Run {
  const outputs = new Map<string, Json>()
  const runs = new Map<string, number>()
  const run: Run = { calls: [], path: [], error: undefined }
  let at = now
  let item: Json = { message, topic: 'any' }
  let name = 'Kafka Trigger'

  const evaluate = (expression: unknown): unknown => {
    if (typeof expression !== 'string' || !expression.startsWith('=')) return expression
    const whole = /^=\{\{([\s\S]*)\}\}$/.exec(expression)?.[1]
    if (whole !== undefined && !whole.includes('}}')) return inContext(`(${whole})`)
    return expression
      .slice(1)
      .replaceAll(/\{\{([\s\S]*?)\}\}/g, (_all, inner: string) => String(inContext(`(${inner})`)))
  }
  const inContext = (code: string): unknown => {
    class Clock extends Date {
      static override now = () => at
    }
    const $ = (node: string) => {
      const json = outputs.get(node)
      if (json === undefined) throw new Error(`${node} has not run`)
      return { first: () => ({ json }) }
    }
    const $runIndex = (runs.get(name) ?? 1) - 1
    const value = runInNewContext(code, {
      $,
      $json: item,
      $input: { first: () => ({ json: item }) },
      $runIndex,
      Date: Clock,
    })
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
        item = Object.fromEntries(assignments.map((field) => [field.name, evaluate(field.value)]))
        break
      }
      case 'code': {
        const [first] = inContext(`(() => {${parameters.jsCode as string}})()`) as { json: Json }[]
        item = first?.json ?? {}
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
