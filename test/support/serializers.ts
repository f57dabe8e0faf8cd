/**
 * What Fastify compiles to write answers is half of the time that a server takes to start. The servers of a process share
 * it here: it depends on the schemas alone.
 */
import { createRequire } from 'node:module'
import type { BuildSerializer } from '../../src/http/server.js'

const fastify = createRequire(createRequire(import.meta.url).resolve('fastify'))
const { SerializerSelector } = fastify('@fastify/fast-json-stringify-compiler')
const fastifysOwn: BuildSerializer = SerializerSelector()

const compiled = new Map<string, (data: unknown) => string>()

export const buildSerializer: BuildSerializer = (shared, options) => {
  const compile = fastifysOwn(shared, options)
  const before = JSON.stringify([shared, options])
  return (route) => {
    const key = before + JSON.stringify(route.schema)
    const known = compiled.get(key) ?? compile(route)
    compiled.set(key, known)
    return known
  }
}
