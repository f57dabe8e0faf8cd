// 두 페이지가 함께 쓰는 부분: 지금까지 완성된 학습 자료.
export function Learning({ concept, exercise, quizzes }) {
  const written = quizzes.filter((quiz) => quiz.is_complete)
  return (
    <article>
      <h2>{concept.title}</h2>
      <pre>{concept.content}</pre>
      <p>{exercise.question}</p>
      <ol>
        {written.map((quiz) => (
          <li key={quiz.id}>{quiz.question}</li>
        ))}
      </ol>
    </article>
  )
}
