/**
 * What a teacher can do with one part, inside that part: try again what failed, have it written again with an
 * instruction, bring an earlier version back.
 */
import { canRegenerate, canRetry } from './chapter.js'
import { createElement, setText } from './dom.js'
import { chapters } from './server.js'
import { words } from './strings.js'
import { formatDay } from './time.js'

/** @typedef {import('./chapter.js').Chapter} Chapter */
/** @typedef {import('chaptercast-client').JobKind} JobKind */
/** @typedef {import('chaptercast-client').RevisionList['revisions']} Revisions */
/** Asks it, and shows why it failed; true when it was accepted. @typedef {(action: import('./problem.js').Action, request: (id: number) => Promise<unknown>) => Promise<boolean>} Act */

const INSTRUCTION_MAX = 2000

/** @param {HTMLElement} root @param {JobKind} kind @param {Act} act */
export function openPartTools(root, kind, act) {
  const retry = createElement('button', { type: 'button', class: 'retry' })
  const hint = createElement('p', { class: 'muted' })
  const input = createElement('textarea', {
    ...{ id: `again-${kind}`, rows: 2, dir: 'auto', maxlength: INSTRUCTION_MAX },
    'aria-describedby': `again-${kind}-hint`,
  })
  const label = createElement('label', { for: input.id })
  const about = createElement('p', { class: 'muted', id: `again-${kind}-hint` })
  const send = createElement('button', { type: 'submit' })
  const form = createElement('form', { class: 'again' }, label, input, about, send)
  const summary = createElement('summary')
  const earlier = createElement('div', { class: 'revisions' })
  const details = createElement('details', { class: 'more again' }, summary, form, earlier)
  root.append(retry, hint, details)
  /** @type {Revisions} */
  let revisions = []
  /** What the list was read for. */
  let readFor = ''
  let readNow = ''
  let chapterId = 0

  retry.addEventListener('click', () => void act('retry', (id) => chapters.retry(id)))
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const instruction = input.value.trim()
    const isAccepted = await act('regenerate', (id) =>
      chapters.regenerate(id, kind, instruction === '' ? {} : { instruction }),
    )
    if (!isAccepted) return
    input.value = ''
    summary.focus()
    details.open = false
  })
  details.addEventListener('toggle', readRevisions)

  async function readRevisions() {
    if (!details.open || readFor === readNow) return
    readFor = readNow
    const id = chapterId
    try {
      const list = await chapters.revisions(id, kind)
      if (id !== chapterId) return
      revisions = list.revisions
    } catch {
      // They are read again when the part is opened again.
      readFor = ''
    }
    showRevisions()
  }

  function showRevisions() {
    // One version alone is nothing to choose from.
    const list = revisions.length < 2 ? [] : [...revisions].reverse()
    earlier.replaceChildren(
      ...(list.length === 0
        ? []
        : [
            createElement('h4', {}, words('versions')),
            createElement('ul', {}, ...list.map(describeRevision)),
          ]),
    )
  }

  /** @param {Revisions[number]} revision */
  function describeRevision({ revision, instruction, created_at: at, is_current: isCurrent }) {
    const name = words('version_n', { n: revision })
    const restore = createElement(
      'button',
      { type: 'button', class: 'quiet', 'aria-label': `${words('restore')}: ${name}` },
      words('restore'),
    )
    restore.addEventListener('click', async () => {
      if (await act('restore', (id) => chapters.restore(id, kind, revision))) summary.focus()
    })
    return createElement(
      'li',
      {},
      createElement('span', {}, isCurrent ? `${name} · ${words('version_current')}` : name),
      at === null ? null : createElement('span', { class: 'muted' }, formatDay(at)),
      instruction === null ? null : createElement('span', { class: 'why', dir: 'auto' }, instruction),
      isCurrent ? null : restore,
    )
  }

  return {
    /** @param {Chapter} chapter */
    show(chapter) {
      if (chapter.id !== chapterId) {
        chapterId = chapter.id
        details.open = false
        input.value = ''
        revisions = []
        showRevisions()
      }
      const failed = Object.values(chapter.jobs).filter((job) => job.state === 'failed').length
      retry.hidden = !canRetry(chapter, kind)
      hint.hidden = retry.hidden || failed < 2
      details.hidden = !canRegenerate(chapter)
      root.hidden = retry.hidden && details.hidden
      readNow = JSON.stringify([chapter.id, chapter.jobs[kind].contentRevision])
      if (readNow !== readFor) void readRevisions()
      setText(retry, words('retry_part'))
      setText(hint, words('retry_hint'))
      setText(summary, words('again'))
      setText(label, words('instruction'))
      setText(about, words('instruction_hint'))
      setText(send, words('again_send'))
    },
    translated: showRevisions,
  }
}
