/**
 * What events say to people, in the chapter’s language.
 */
import type { EventName } from '../contract/event.js'
import type { JobKind } from '../contract/job.js'
import type { Locale } from '../contract/scalar.js'

type Suffix = 'processing' | 'started' | 'completed' | 'timeout' | 'retrying' | 'failed' | 'regenerating'
type ChapterEventName = Exclude<EventName, `${JobKind}_${Suffix}`>

interface Texts {
  kinds: Record<JobKind, string>
  chapter: Record<ChapterEventName, string>
  kind: Record<Suffix, (kind: string) => string>
}

const TEXTS: Record<Locale, Texts> = {
  ko: {
    kinds: { concept: '개념 설명', exercise: '연습 문제', quiz: '퀴즈' },
    chapter: {
      chapter_processing_started: '챕터 생성이 시작되었습니다.',
      all_completed: '모든 콘텐츠 생성이 완료되었습니다.',
      chapter_failed: '일부 콘텐츠를 생성하지 못했습니다. 다시 시도할 수 있습니다.',
      chapter_retrying: '실패한 콘텐츠를 다시 생성합니다.',
      chapter_cancelled: '챕터 생성이 취소되었습니다.',
    },
    kind: {
      processing: (kind) => `${kind} 생성을 요청했습니다.`,
      started: (kind) => `${kind} 생성을 시작했습니다.`,
      completed: (kind) => `${kind} 생성이 완료되었습니다.`,
      timeout: (kind) => `${kind} 생성 시간이 초과되었습니다.`,
      retrying: (kind) => `${kind} 생성을 다시 시도합니다.`,
      failed: (kind) => `${kind} 생성에 실패했습니다.`,
      regenerating: (kind) => `${withObjectParticle(kind)} 다시 생성합니다.`,
    },
  },
  en: {
    kinds: { concept: 'concept notes', exercise: 'exercise', quiz: 'quiz' },
    chapter: {
      chapter_processing_started: 'The chapter is being generated.',
      all_completed: 'Everything has been generated.',
      chapter_failed: 'Some content could not be generated. It can be tried again.',
      chapter_retrying: 'What failed is being generated again.',
      chapter_cancelled: 'The chapter was cancelled.',
    },
    kind: {
      processing: (kind) => `Asked for the ${kind}.`,
      started: (kind) => `Work on the ${kind} has begun.`,
      completed: (kind) => `Finished: ${kind}.`,
      timeout: (kind) => `No answer in time for the ${kind}.`,
      retrying: (kind) => `Another attempt at the ${kind} is scheduled.`,
      failed: (kind) => `Could not generate the ${kind}.`,
      regenerating: (kind) => `The ${kind} will be generated again.`,
    },
  },
}

const DELETED: Record<Locale, string> = {
  ko: '챕터가 삭제되었습니다.',
  en: 'The chapter was deleted.',
}

/** 을 after a final consonant, 를 after a vowel. */
function withObjectParticle(noun: string): string {
  const syllable = noun.charCodeAt(noun.length - 1) - 0xac00
  return `${noun}${syllable % 28 === 0 ? '를' : '을'}`
}

/** What a room is told whose chapter is gone. */
export function deletedMessage(locale: Locale): string {
  return DELETED[locale]
}

export function eventMessage(name: EventName, locale: Locale): string {
  const texts = TEXTS[locale]
  if (name in texts.chapter) return texts.chapter[name as ChapterEventName]
  const [kind, suffix] = name.split('_') as [JobKind, Suffix]
  return texts.kind[suffix](texts.kinds[kind])
}
