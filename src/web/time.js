/** Times as the page writes them, in its language. */
import { language } from './strings.js'

/** m:ss, rounded up: 0:00 is over. @param {number} ms */
export function formatLeft(ms) {
  const seconds = Math.ceil(ms / 1000)
  const rest = String(seconds % 60).padStart(2, '0')
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${rest}`
  return `${Math.floor(seconds / 3600)}:${String(Math.floor(seconds / 60) % 60).padStart(2, '0')}:${rest}`
}

/** @param {string} at */
export function formatTime(at) {
  return new Intl.DateTimeFormat(language(), { timeStyle: 'medium' }).format(new Date(at))
}

/** @param {string} at */
export function formatDay(at) {
  return new Intl.DateTimeFormat(language(), {
    dateStyle: 'medium',
    timeStyle: 'medium',
  }).format(new Date(at))
}

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
]

/** “3 minutes ago”, “in 2 hours”. @param {string} at @param {number} nowMs */
export function formatDistance(at, nowMs) {
  const ms = Date.parse(at) - nowMs
  const [unit, length] = UNITS.find(([, each]) => Math.abs(ms) >= each) ?? ['second', 1000]
  return new Intl.RelativeTimeFormat(language()).format(Math.trunc(ms / length), unit)
}
