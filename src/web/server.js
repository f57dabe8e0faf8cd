/**
 * This server, through the client package: requests, events, and coming back to both by itself. Beside it the
 * token of this tab, where the server wants one, and how far this computer’s clock is off.
 */
import { connectChapters } from 'chaptercast-client'

/** `Date` has whole seconds and the answer took its time: a smaller difference says nothing. */
const CLOCK_TOLERANCE_MS = 3000
const TOKEN_STORED_AS = 'chaptercast.token'

let clockOffsetMs = 0
/** @type {string | null} */
let requestId = null
let token = storedToken()

export const chapters = connectChapters(undefined, { token: currentToken, fetch: fetchAndNoteClock })

/** Now by the server’s clock, in milliseconds: deadlines are counted down to it. */
export function serverNow() {
  return Date.now() + clockOffsetMs
}

/** The id under which the server logged the last request about a chapter; null when it gives none. */
export function lastRequestId() {
  return requestId
}

export function currentToken() {
  return token
}

/** To be sent from now on, until the tab is closed. @param {string | undefined} next */
export function keepToken(next) {
  token = next
  try {
    if (next === undefined) sessionStorage.removeItem(TOKEN_STORED_AS)
    else sessionStorage.setItem(TOKEN_STORED_AS, next)
  } catch {
    // Storage may be blocked; then it holds until the page is left.
  }
}

function storedToken() {
  try {
    return sessionStorage.getItem(TOKEN_STORED_AS) ?? undefined
  } catch {
    return undefined
  }
}

/** @type {typeof fetch} */
export async function fetchAndNoteClock(input, init) {
  const response = await fetch(input, init)
  const offset = Date.parse(response.headers.get('date') ?? '') - Date.now()
  if (!Number.isNaN(offset)) clockOffsetMs = Math.abs(offset) > CLOCK_TOLERANCE_MS ? offset : 0
  if (String(input).includes('/v1/chapter/')) requestId = response.headers.get('x-request-id')
  return response
}
