/**
 * What the API pages at `/docs` need beside Swagger UI’s own: a width for phones, and names and roles for people who
 * listen to a page. Swagger UI draws its parts again and again, so they are mended whenever something was drawn.
 */
const viewport = document.createElement('meta')
viewport.name = 'viewport'
viewport.content = 'width=device-width, initial-scale=1'
document.head.append(viewport)

const dark = matchMedia('(prefers-color-scheme: dark)')
const followScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', followScheme)
followScheme()

/** @type {[selector: string, attributes: Record<string, string>][]} */
const NAMES = [
  ['.information-container', { role: 'region', 'aria-label': 'About' }],
  ['.schemes-server-container', { role: 'region', 'aria-label': 'Server' }],
  ['#servers', { 'aria-label': 'Server' }],
  ['.body-param__text', { 'aria-label': 'Request body' }],
  ['.opblock-tag, .models > h4', { 'aria-level': '2' }],
  ['.opblock-section-header h4, .opblock-body h4, .opblock-body h5', { 'aria-level': '3' }],
  ['.highlight-code > pre, .example, .curl', { tabindex: '0' }],
  ['.modal-ux', { role: 'dialog', 'aria-modal': 'true', 'aria-label': 'Available authorizations' }],
  ['.modal-ux-header > h3', { 'aria-level': '2' }],
  ['.modal-ux h4', { 'aria-level': '3' }],
  ['.close-modal', { 'aria-label': 'Close' }],
]

/** @param {Element} element @param {string} name @param {string} value */
function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value)
}

function mend() {
  for (const [selector, attributes] of NAMES)
    for (const element of document.querySelectorAll(selector))
      for (const [name, value] of Object.entries(attributes)) set(element, name, value)
  // Their names are what stands on them.
  for (const button of document.querySelectorAll('.auth-btn-wrapper button'))
    button.removeAttribute('aria-label')
  // A link inside a button cannot be reached by itself; the button does the same.
  for (const link of document.querySelectorAll('.opblock-summary-control a')) link.removeAttribute('href')
  for (const field of document.querySelectorAll('.parameters input, .parameters select')) {
    const name = field.closest('tr')?.getAttribute('data-param-name')
    if (name) set(field, 'aria-label', name)
  }
}

new MutationObserver(mend).observe(document.body, { childList: true, subtree: true })
mend()
