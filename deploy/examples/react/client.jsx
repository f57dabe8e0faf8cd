// plain.jsx와 같은 페이지를 chaptercast-client로: 연결이 끊겼다 돌아와도 이벤트를 한 번씩, 순서대로 받습니다.
import { connectChapters } from 'chaptercast-client'
import {
  ChaptersProvider,
  useChapter,
  useChapters,
  useCreateChapter,
  useEvents,
  useLearning,
} from 'chaptercast-client/react'
import { useState } from 'react'
import { createRoot } from 'react-dom/client'
import { Learning, Markdown } from './learning.tsx'

const NAMES = { concept: '개념 설명', exercise: '연습 문제', quiz: '퀴즈' }

function ChapterPage() {
  const [title, setTitle] = useState('변수와 자료형')
  const { create, chapter, isCreating, error } = useCreateChapter()
  const submit = () => create({ course_id: 1, title, description: 'Python 기초', owner_id: 1 })
  return (
    <main>
      <h1>챕터 만들기</h1>
      <input aria-label="제목" value={title} onChange={(event) => setTitle(event.target.value)} />
      <input type="submit" value="챕터 생성" onClick={submit} disabled={isCreating} />
      {error instanceof Error && <p role="alert">챕터를 만들지 못했습니다: {error.message}</p>}
      {chapter && <Chapter id={chapter.chapter_id} />}
    </main>
  )
}

function Chapter({ id }) {
  const { connection, message, progress, results, status, jobs, partial, error } = useChapter(id)
  const { learning } = useLearning(id)
  const events = useEvents(id)
  const item = (key, text) => <li key={key}>{text}</li>
  return (
    <section>
      {error ? <p role="alert">챕터를 볼 수 없습니다: {error.message}</p> : null}
      <p>{connection === 'live' ? '서버에 연결됨' : '연결 중…'}</p>
      <h2>{`챕터 ${id}: ${message}`}</h2>
      <progress aria-label="진행률" value={progress} max="100" /> {Math.round(progress)}%
      <ul className="kinds">
        {Object.keys(NAMES).map((kind) =>
          item(kind, `${NAMES[kind]}: ${stateOf(jobs[kind], results[kind])}`),
        )}
      </ul>
      {status === 'failed' && <Retry id={id} />}
      {partial.concept && <Markdown text={partial.concept.text} />}
      <ol className="log">{events.map(({ payload }) => item(payload.seq, payload.message))}</ol>
      {learning && <Learning {...learning} />}
    </section>
  )
}

function stateOf({ status, retry_at, error }, isWritten) {
  if (status === 'failed') return `실패${error?.message ? ` (${error.message})` : ''}`
  if (status === 'cancelled') return '취소됨'
  if (retry_at) return '다시 시도를 기다리는 중'
  return isWritten && status === 'completed' ? '완료' : '생성 중'
}

function Retry({ id }) {
  const chapters = useChapters()
  const [failure, setFailure] = useState(null)
  const retry = () => chapters.retry(id).then(() => setFailure(null), setFailure)
  return (
    <p role="alert">
      생성하지 못한 부분이 있습니다.{' '}
      <button type="button" onClick={retry}>
        다시 시도
      </button>
      {failure && ` 다시 시도하지 못했습니다: ${failure.message}`}
    </p>
  )
}

createRoot(document.getElementById('root')).render(
  <ChaptersProvider chapters={connectChapters('http://localhost:8000')}>
    <ChapterPage />
  </ChaptersProvider>,
)
