/** The three kinds: paused or not, and how much of each is under way. */
import { createElement, icon } from '../dom.js'
import { addressOf } from './address.js'
import { read } from './api.js'
import { actButton, actions, factsOf, pill, when } from './parts.js'
import { words } from './strings.js'

/** @type {import('./parts.js').View<import('../../contract/admin.js').KindList>} */
export const kinds = {
  filters: [],
  read: (_query, signal) => read('/kinds', {}, signal),
  show: ({ kinds: all }) => [createElement('div', { class: 'cards' }, ...all.map(kindCard))],
}

/** @param {import('../../contract/admin.js').KindState} state */
function kindCard(state) {
  const { kind, is_paused: isPaused } = state
  const name = words(kind)
  const id = `kind-${kind}`
  return createElement(
    'section',
    { class: 'card', 'data-key': kind, 'aria-labelledby': id },
    createElement(
      'div',
      { class: 'head' },
      icon(kind),
      createElement('h2', { id }, name),
      pill(words(isPaused ? 'kind_paused' : 'kind_runs'), isPaused ? 'warn' : 'good'),
    ),
    factsOf([
      [words('kind_queued'), String(state.queued)],
      [words('kind_published'), String(state.published)],
      [words('kind_paused_at'), when(state.paused_at)],
      [words('kind_paused_by'), state.paused_by],
      [words('kind_reason'), state.reason],
    ]),
    createElement(
      'p',
      {},
      createElement('a', { class: 'tall', href: addressOf('stuck', { kind }) }, words('see_stuck')),
    ),
    actions(
      isPaused
        ? actButton('resume', { kind }, words('resume'), name)
        : actButton('pause', { kind }, words('pause'), name),
    ),
  )
}
