/** @jsxRuntime automatic */
/** What `course-react.test.ts` renders in a browser: a course, in Strict Mode, as often as it is asked for. */
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { connectChapters } from '../../src/client/index.js'
import { ChaptersProvider, useCourse } from '../../src/client/react.js'

const query = new URLSearchParams(location.search)
const chapters = connectChapters(query.get('server') ?? '')

function Course({ id }: { id: number }) {
  const { connection, counts, progress, completed, chapters } = useCourse(id)
  return (
    <section className="course">
      <p className="state">{`${connection} ${counts.processing}/${chapters.length} ${progress} ${completed}`}</p>
      <ol>
        {chapters.map(({ chapter_id, title, status }) => (
          <li key={chapter_id}>{`${title} ${status}`}</li>
        ))}
      </ol>
    </section>
  )
}

function App() {
  const [isShown, show] = useState(true)
  const id = Number(query.get('course'))
  return (
    <ChaptersProvider chapters={chapters}>
      <button type="button" onClick={() => show(!isShown)}>
        Toggle
      </button>
      {isShown && <Course id={id} />}
      {isShown && <Course id={id} />}
    </ChaptersProvider>
  )
}

createRoot(document.querySelector('#root') ?? document.body).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
