/**
 * Shows what was built anew by changing only what differs from what is shown. So the focus, a selection, the scroll
 * position and open details outlast a refresh.
 *
 * Children with the same `data-key` are the same thing, wherever they stand; the others are compared in order. Whether
 * details are open is the person’s to say, and never changed here.
 */
import { setAttribute } from '../dom.js'

/** @param {Element} root @param {readonly (Node | null)[]} children */
export function show(root, children) {
  const focused = document.activeElement
  const wanted = document.createDocumentFragment()
  wanted.append(...children.filter((child) => child !== null))
  morphChildren(root, wanted)
  // A row that moved took the focus with it out of the page.
  if (focused instanceof HTMLElement && root.contains(focused) && document.activeElement !== focused)
    focused.focus({ preventScroll: true })
}

/** @param {Element} shown @param {Element | DocumentFragment} wanted */
function morphChildren(shown, wanted) {
  const keys = new Set([...wanted.children].map(keyOf))
  // First what is gone, so that what stays does not have to move.
  for (const child of [...shown.children])
    if (keyOf(child) !== null && !keys.has(keyOf(child))) child.remove()
  let at = shown.firstChild
  for (const next of [...wanted.childNodes]) {
    const same = findSame(shown, at, next)
    if (same === null) {
      shown.insertBefore(next, at)
      continue
    }
    if (same === at) at = at.nextSibling
    else shown.insertBefore(same, at)
    morph(same, next)
  }
  while (at !== null) {
    const rest = at
    at = at.nextSibling
    rest.remove()
  }
}

/** @param {Element} shown @param {ChildNode | null} at @param {Node} next @returns {ChildNode | null} */
function findSame(shown, at, next) {
  const key = keyOf(next)
  for (let each = key === null ? at : shown.firstChild; each !== null; each = each.nextSibling)
    if (each.nodeName === next.nodeName && keyOf(each) === key) return each
  return null
}

/** @param {Node} shown @param {Node} next */
function morph(shown, next) {
  if (!(shown instanceof Element) || !(next instanceof Element)) {
    if (shown.nodeValue !== next.nodeValue) shown.nodeValue = next.nodeValue
    return
  }
  for (const { name, value } of [...next.attributes]) setAttribute(shown, name, value)
  for (const { name } of [...shown.attributes])
    if (!next.hasAttribute(name) && !(name === 'open' && shown.nodeName === 'DETAILS'))
      shown.removeAttribute(name)
  if (shown instanceof HTMLInputElement) shown.checked = next.hasAttribute('checked')
  morphChildren(shown, next)
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? node.getAttribute('data-key') : null
}
