/**
 * The address is the state: `/admin?view=dead-letters&kind=quiz&cursor=…`. Everything but the view is what the API is
 * asked, so that whoever gets the link sees the same.
 */

export const VIEWS = /** @type {const} */ (['stuck', 'chapter', 'dead-letters', 'kinds', 'notices', 'audit'])

/** @typedef {typeof VIEWS[number]} ViewName */
/** @typedef {Record<string, string>} Query */
/** @typedef {{ view: ViewName, query: Query }} Place */

/** @returns {Place} */
export function currentPlace() {
  return placeOf(location.href)
}

/** @param {string} href @returns {Place} */
export function placeOf(href) {
  const { view, ...query } = Object.fromEntries(new URL(href, location.href).searchParams)
  return { view: VIEWS.find((each) => each === view) ?? 'stuck', query }
}

/** @param {ViewName} view @param {Record<string, string | number>} [query] empty ones are left out */
export function addressOf(view, query = {}) {
  const search = new URLSearchParams({ view })
  for (const [name, value] of Object.entries(query)) if (value !== '') search.set(name, String(value))
  return `/admin?${search}`
}
