// 세 페이지가 함께 쓰는 부분: 지금까지 완성된 학습 자료. 내용은 Markdown입니다.
import type { LearningView } from 'chaptercast-client'
import DOMPurify from 'dompurify'
import { marked } from 'marked'

export function Learning({
  concept,
  exercise,
  quizzes,
}: Pick<LearningView, 'concept' | 'exercise' | 'quizzes'>) {
  const written = quizzes.filter((quiz) => quiz.is_complete)
  return (
    <article>
      <h2>{concept.title}</h2>
      <Markdown text={concept.content} />
      <Markdown text={exercise.question} />
      <ol>
        {written.map((quiz) => (
          <li key={quiz.id}>
            <Markdown text={quiz.question} />
          </li>
        ))}
      </ol>
    </article>
  )
}

// 모델이 쓴 글은 믿을 수 없으므로 HTML로 바꾼 다음 반드시 걸러 냅니다.
export function Markdown({ text }: { text: string | null }) {
  const html = DOMPurify.sanitize(marked.parse(text ?? '', { async: false }))
  // biome-ignore lint/security/noDangerouslySetInnerHtml: DOMPurify가 거른 HTML입니다
  return <div className="markdown" dangerouslySetInnerHTML={{ __html: html }} />
}
