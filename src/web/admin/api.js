/**
 * Requests to `/v1/admin/`. Each is sent once: the page reads again by itself, and an act that may have been done is
 * not done twice.
 */
import { createHttp } from 'chaptercast-client/http'
import { currentToken, fetchAndNoteClock } from '../server.js'

const http = createHttp({
  base: '/v1/admin',
  token: currentToken,
  fetch: fetchAndNoteClock,
  signal: new AbortController().signal,
})

/** @template T @param {string} path @param {object} query @param {AbortSignal} signal @returns {Promise<T>} */
export function read(path, query, signal) {
  return http('GET', path, { query, signals: [signal], tries: 1 })
}

/** @template T @param {'POST' | 'DELETE'} method @param {string} path @param {object} [body] @returns {Promise<T>} */
export function ask(method, path, body) {
  return http(method, path, { body, tries: 1 })
}
