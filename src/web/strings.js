/**
 * The page’s own words, in English and Korean, and which of the two is spoken.
 * Only the page’s: content and event messages come from the server in the chapter’s language.
 */

/** @typedef {'en' | 'ko'} Language */
/** @typedef {keyof typeof EN} StringKey */

const EN = {
  tagline: 'Chapters, written while you watch',
  intro:
    'Give it a title. A concept, an exercise and a quiz are written at the same time, and every step arrives here the moment it happens.',
  docs: 'API docs',
  language: 'Language',
  home: 'chaptercast, start page',
  create_heading: 'Create a chapter',
  title: 'Title',
  title_placeholder: 'Variables and data types',
  description: 'What should it cover?',
  optional: 'optional',
  description_placeholder: 'Python for beginners',
  more_options: 'More options',
  course_id: 'Course number',
  owner_id: 'Owner number',
  quiz_count: 'Quiz questions',
  locale: 'Language of the content',
  locale_default: 'As the server is set',
  create: 'Create and watch',
  creating: 'Creating…',
  curl: 'The same with curl',
  copy: 'Copy',
  copied: 'Copied',
  recent_heading: 'Recent chapters',
  recent_empty: 'None yet. Create the first one.',
  recent_failed: 'The list cannot be loaded right now.',
  recent_token: 'They are shown once there is a token.',
  loading: 'Loading…',
  open_label: 'Open a chapter by its number',
  open: 'Open',
  open_hint: 'One that does not exist yet can be opened too: the page waits for it.',
  open_invalid: 'A chapter number is a whole number from 1.',
  new_chapter: 'New chapter',
  chapter_n: 'Chapter {n}',
  course_n: 'Course {n}',
  owner_n: 'Owner {n}',
  created: 'Created',
  status_processing: 'Being written',
  status_completed: 'Complete',
  status_failed: 'Failed',
  status_cancelled: 'Cancelled',
  status_waiting: 'Not created yet',
  status_loading: 'Loading',
  waiting_text:
    'Chapter {n} does not exist yet. This page is in its room already and will show it as soon as it is created.',
  whole_chapter: 'Whole chapter',
  concept: 'Concept',
  exercise: 'Exercise',
  quiz: 'Quiz',
  job_waiting: 'Waiting',
  job_queued: 'Queued',
  job_waiting_turn: 'Waiting, {n} before it',
  job_published: 'Handed to the writer',
  job_started: 'Writing',
  job_retrying: 'Trying again',
  job_completed: 'Done',
  job_failed: 'Failed',
  job_cancelled: 'Cancelled',
  attempt: 'Attempt {n} of {max}',
  deadline: 'answer due by {time} ({left} left)',
  deadline_over: 'answer was due by {time}',
  retry_in: 'next attempt in {left}',
  retry_now: 'next attempt is starting',
  tried: 'Attempt {n}: {reason}',
  reason_timeout: 'no answer in time',
  reason_rate_limited: 'the AI is over its rate limit',
  reason_unavailable: 'the AI cannot be reached',
  reason_model_error: 'the AI made an error',
  reason_invalid_result: 'the result was not usable',
  reason_refused: 'the AI refused',
  retry: 'Retry what failed',
  cancel: 'Cancel',
  cancel_question: 'Stop writing this chapter?',
  cancel_text: 'Running work is cancelled. What is finished already stays.',
  cancel_yes: 'Stop it',
  cancel_no: 'Keep going',
  writing: 'Being written…',
  not_written: 'This part was not written.',
  links_new_tab: 'opens in a new tab',
  table: 'Table',
  code: 'Code',
  difficulty_easy: 'Easy',
  difficulty_medium: 'Medium',
  difficulty_hard: 'Hard',
  show_answer: 'Show the answer',
  quiz_n: 'Question {n}',
  quiz_score: '{right} of {all} right at the first try',
  right: 'Right',
  wrong: 'Not this one',
  option_right: 'right answer',
  option_wrong: 'wrong',
  true: 'True',
  false: 'False',
  timeline_heading: 'What happened',
  timeline_empty: 'Nothing yet.',
  timeline_expired: 'The log of this chapter was deleted after its retention. What is shown is how it ended.',
  event_number: 'Event {n}',
  live: 'Live',
  connecting: 'Connecting…',
  reconnecting: 'Reconnecting…',
  offline: 'Offline',
  offline_text: 'The connection is lost. The page reconnects by itself and catches up; nothing gets lost.',
  connection_lost: 'Connection lost. Reconnecting.',
  connection_back: 'Connected again.',
  unreachable: 'The server cannot be reached',
  unreachable_detail: 'Check the connection and try again; nothing is created twice.',
  bad_answer: 'The server gave an unexpected answer',
  refused: 'The server refused',
  problem_forbidden: 'Your token does not allow this',
  problem_chapter_not_found: 'There is no such chapter',
  problem_invalid_request: 'Something in the request is not right',
  problem_wrong_state: 'The chapter’s state does not allow this any more',
  problem_unavailable: 'The server cannot do this right now; try again in a moment',
  problem_too_many_requests: 'Too many requests at once; try again in a moment',
  problem_rate_limited: 'Too many requests at once; try again in a moment',
  token_heading: 'This server asks for a token',
  token_hint:
    'It says who you are. Whoever runs the server gives it to you. It is kept in this tab only, until you close it.',
  token: 'Token',
  token_use: 'Use it',
  token_checking: 'Checking…',
  token_refused: 'The server does not accept this token.',
  token_expired: 'The token has expired. Give a new one.',
}

/** @type {Record<StringKey, string>} */
const KO = {
  tagline: '지켜보는 동안 완성되는 챕터',
  intro:
    '제목만 입력하세요. 개념, 연습 문제, 퀴즈가 동시에 만들어지고, 모든 과정이 일어나는 즉시 이 화면에 도착합니다.',
  docs: 'API 문서',
  language: '언어',
  home: 'chaptercast 첫 화면',
  create_heading: '챕터 만들기',
  title: '제목',
  title_placeholder: '변수와 자료형',
  description: '어떤 내용을 다룰까요?',
  optional: '선택',
  description_placeholder: 'Python 기초',
  more_options: '추가 설정',
  course_id: '코스 번호',
  owner_id: '소유자 번호',
  quiz_count: '퀴즈 문항 수',
  locale: '콘텐츠 언어',
  locale_default: '서버 기본값',
  create: '만들고 지켜보기',
  creating: '만드는 중…',
  curl: 'curl로 똑같이 하기',
  copy: '복사',
  copied: '복사됨',
  recent_heading: '최근 챕터',
  recent_empty: '아직 없습니다. 첫 챕터를 만들어 보세요.',
  recent_failed: '지금은 목록을 불러올 수 없습니다.',
  recent_token: '토큰을 입력하면 볼 수 있습니다.',
  loading: '불러오는 중…',
  open_label: '번호로 챕터 열기',
  open: '열기',
  open_hint: '아직 없는 챕터도 열 수 있습니다. 만들어질 때까지 기다립니다.',
  open_invalid: '챕터 번호는 1 이상의 정수입니다.',
  new_chapter: '새 챕터',
  chapter_n: '챕터 {n}',
  course_n: '코스 {n}',
  owner_n: '소유자 {n}',
  created: '생성',
  status_processing: '만드는 중',
  status_completed: '완성',
  status_failed: '실패',
  status_cancelled: '취소됨',
  status_waiting: '아직 없음',
  status_loading: '불러오는 중',
  waiting_text:
    '챕터 {n}은(는) 아직 만들어지지 않았습니다. 이 페이지는 이미 그 방에 들어와 있으며, 만들어지는 즉시 보여 줍니다.',
  whole_chapter: '챕터 전체',
  concept: '개념',
  exercise: '연습 문제',
  quiz: '퀴즈',
  job_waiting: '대기 중',
  job_queued: '대기열에 있음',
  job_waiting_turn: '대기 중, 앞에 {n}개',
  job_published: '작성기에 전달됨',
  job_started: '작성 중',
  job_retrying: '다시 시도',
  job_completed: '완료',
  job_failed: '실패',
  job_cancelled: '취소됨',
  attempt: '{max}번 중 {n}번째 시도',
  deadline: '마감 {time} ({left} 남음)',
  deadline_over: '마감 {time} 지남',
  retry_in: '{left} 뒤 다시 시도',
  retry_now: '다시 시도하는 중',
  tried: '{n}번째 시도: {reason}',
  reason_timeout: '제시간에 응답이 없었습니다',
  reason_rate_limited: 'AI 사용량 한도를 넘었습니다',
  reason_unavailable: 'AI에 연결할 수 없습니다',
  reason_model_error: 'AI에서 오류가 났습니다',
  reason_invalid_result: '결과를 쓸 수 없었습니다',
  reason_refused: 'AI가 거절했습니다',
  retry: '실패한 것 다시 시도',
  cancel: '취소',
  cancel_question: '이 챕터 만들기를 멈출까요?',
  cancel_text: '진행 중인 작업은 취소되고, 이미 완성된 것은 남습니다.',
  cancel_yes: '멈추기',
  cancel_no: '계속하기',
  writing: '작성하고 있습니다…',
  not_written: '이 부분은 작성되지 않았습니다.',
  links_new_tab: '새 탭에서 열림',
  table: '표',
  code: '코드',
  difficulty_easy: '쉬움',
  difficulty_medium: '보통',
  difficulty_hard: '어려움',
  show_answer: '정답 보기',
  quiz_n: '문제 {n}',
  quiz_score: '{all}문제 중 {right}문제를 한 번에 맞혔습니다',
  right: '정답입니다',
  wrong: '정답이 아닙니다',
  option_right: '정답',
  option_wrong: '오답',
  true: '참',
  false: '거짓',
  timeline_heading: '진행 기록',
  timeline_empty: '아직 없습니다.',
  timeline_expired: '이 챕터의 기록은 보관 기간이 지나 삭제되었습니다. 마지막 상태를 보여 줍니다.',
  event_number: '이벤트 {n}',
  live: '실시간',
  connecting: '연결 중…',
  reconnecting: '다시 연결 중…',
  offline: '오프라인',
  offline_text: '연결이 끊겼습니다. 자동으로 다시 연결해 놓친 내용을 빠짐없이 받아 옵니다.',
  connection_lost: '연결이 끊겼습니다. 다시 연결합니다.',
  connection_back: '다시 연결되었습니다.',
  unreachable: '서버에 연결할 수 없습니다',
  unreachable_detail: '연결을 확인하고 다시 시도하세요. 두 번 만들어지지 않습니다.',
  bad_answer: '서버가 예상하지 못한 응답을 보냈습니다',
  refused: '서버가 거절했습니다',
  problem_forbidden: '이 토큰으로는 할 수 없습니다',
  problem_chapter_not_found: '없는 챕터입니다',
  problem_invalid_request: '입력한 내용을 확인해 주세요',
  problem_wrong_state: '챕터의 현재 상태에서는 할 수 없습니다',
  problem_unavailable: '지금은 서버가 처리할 수 없습니다. 잠시 뒤 다시 시도하세요',
  problem_too_many_requests: '요청이 너무 많습니다. 잠시 뒤 다시 시도하세요',
  problem_rate_limited: '요청이 너무 많습니다. 잠시 뒤 다시 시도하세요',
  token_heading: '이 서버를 쓰려면 토큰이 필요합니다',
  token_hint:
    '누구인지 알려 주는 토큰으로, 서버 운영자에게서 받습니다. 이 탭에만 보관되고 탭을 닫으면 지워집니다.',
  token: '토큰',
  token_use: '사용하기',
  token_checking: '확인하는 중…',
  token_refused: '서버가 이 토큰을 받아들이지 않았습니다.',
  token_expired: '토큰이 만료되었습니다. 새 토큰을 입력하세요.',
}

const STRINGS = { en: EN, ko: KO }
const STORED_AS = 'chaptercast.language'

/** @type {Language} */
let current = stored() ?? (navigator.language.toLowerCase().startsWith('ko') ? 'ko' : 'en')

/** @returns {Language} */
export function language() {
  return current
}

/** Speaks `next` from now on, on the next visit too. @param {Language} next */
export function setLanguage(next) {
  current = next
  try {
    localStorage.setItem(STORED_AS, next)
  } catch {
    // Storage may be blocked; then it holds for this visit.
  }
}

/**
 * The words for `key`, with `{name}` replaced from `values`.
 * @param {StringKey} key
 * @param {Record<string, string | number>} [values]
 */
export function words(key, values = {}) {
  return STRINGS[current][key].replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole))
}

/** The words for a key put together at run time, or `otherwise`. @param {string} key @param {string} otherwise */
export function wordsOr(key, otherwise) {
  return key in EN ? words(/** @type {StringKey} */ (key)) : otherwise
}

/**
 * Puts the words in every element below `root` that asks for them: `data-words` is its text,
 * `data-label` its accessible name, `data-placeholder` its placeholder.
 * @param {Document | Element} root
 */
export function translate(root) {
  for (const node of root.querySelectorAll('[data-words]')) {
    node.textContent = words(/** @type {StringKey} */ (node.getAttribute('data-words')))
  }
  for (const node of root.querySelectorAll('[data-label]')) {
    node.setAttribute('aria-label', words(/** @type {StringKey} */ (node.getAttribute('data-label'))))
  }
  for (const node of root.querySelectorAll('[data-placeholder]')) {
    node.setAttribute('placeholder', words(/** @type {StringKey} */ (node.getAttribute('data-placeholder'))))
  }
}

/** @returns {Language | undefined} */
function stored() {
  try {
    const value = localStorage.getItem(STORED_AS)
    return value === 'en' || value === 'ko' ? value : undefined
  } catch {
    return undefined
  }
}
