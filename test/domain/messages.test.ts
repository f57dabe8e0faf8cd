import t from 'tap'
import { EVENT_NAMES } from '../../src/contract/event.js'
import { LOCALES } from '../../src/contract/scalar.js'
import { eventMessage } from '../../src/domain/messages.js'
import { chapterWith, created, decideOn, finishOf } from '../support/chapters.js'

t.test('every event has something to say, in either language, and no two say the same', async (t) => {
  for (const locale of LOCALES) {
    const texts = EVENT_NAMES.map((name) => eventMessage(name, locale))
    for (const text of texts) {
      t.match(text, /^[^.]{5,}\./)
      t.notMatch(text, /undefined|\[object/)
      t.equal(/[가-힣]/.test(text), locale === 'ko', text)
    }
    t.equal(new Set(texts).size, EVENT_NAMES.length)
  }
})

t.test('what is generated again is called so in Korean, as everywhere on the page', async (t) => {
  for (const name of EVENT_NAMES) t.notMatch(eventMessage(name, 'ko'), /재생성/)
  t.match(eventMessage('quiz_regenerating', 'ko'), /다시 생성/)
})

t.test('a chapter speaks its own language, from its first event on', async (t) => {
  for (const locale of LOCALES) {
    for (const { name, payload } of created({ locale }).events)
      t.equal(payload.message, eventMessage(name, locale))
    const { events, state } = decideOn(chapterWith({}, { locale }), finishOf('quiz'))
    t.equal(events[0]?.payload.message, eventMessage('quiz_completed', locale))
    t.equal(state.latestProgress?.message, eventMessage('quiz_completed', locale))
  }
})

t.test('a Korean particle fits its noun', async (t) => {
  t.equal(eventMessage('concept_regenerating', 'ko'), '개념 설명을 다시 생성합니다.')
  t.equal(eventMessage('exercise_regenerating', 'ko'), '연습 문제를 다시 생성합니다.')
  t.equal(eventMessage('quiz_regenerating', 'ko'), '퀴즈를 다시 생성합니다.')
})
