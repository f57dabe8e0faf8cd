/** A long title takes a few lines; a button shows it whole. */
import { setAttribute, setText } from './dom.js'
import { words } from './strings.js'

/** @param {HTMLElement} title @param {HTMLButtonElement} button */
export function openLongTitle(title, button) {
  title.classList.add('clamped')
  /** @param {boolean} isWhole */
  function set(isWhole) {
    title.classList.toggle('whole', isWhole)
    setAttribute(button, 'aria-expanded', String(isWhole))
    look()
  }
  function look() {
    const isWhole = title.classList.contains('whole')
    // Hangul is higher than a line of the heading, so even a title that is whole overflows a little.
    const tolerance = Number.parseFloat(getComputedStyle(title).lineHeight) / 2
    button.hidden = !isWhole && title.scrollHeight <= title.clientHeight + tolerance
    setText(button, words(isWhole ? 'title_less' : 'title_whole'))
  }
  button.addEventListener('click', () => set(!title.classList.contains('whole')))
  addEventListener('resize', look)
  return { look, fold: () => set(false) }
}
