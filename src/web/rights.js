/**
 * What the token of this tab allows, as far as the page must know it: what cannot be asked is not offered. The server
 * decides; without a token, or with one that cannot be read here, everything is offered.
 */
import { currentToken } from './server.js'

export function rights() {
  const claims = claimsOf(currentToken())
  // Lists make a token one that watches, whatever else it says.
  const mayChange = !('chapters' in claims) && !('courses' in claims)
  return {
    mayChange,
    /** The operators’ page: with the role, or where nobody is asked for a token on the server’s own machine. */
    mayOperate: currentToken() === undefined ? isLoopback() : mayChange && claims.role === 'admin',
    mayAnswer: mayChange || claims.answers === true,
    /** @param {number} courseId */
    mayWatchCourse: (courseId) =>
      mayChange || (Array.isArray(claims.courses) && claims.courses.includes(courseId)),
  }
}

function isLoopback() {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(location.hostname)
}

/** @param {string | undefined} token @returns {Record<string, unknown>} */
function claimsOf(token) {
  try {
    const middle = (token ?? '').split('.')[1] ?? ''
    const claims = JSON.parse(atob(middle.replace(/-/g, '+').replace(/_/g, '/')))
    return typeof claims === 'object' && claims !== null ? claims : {}
  } catch {
    return {}
  }
}
