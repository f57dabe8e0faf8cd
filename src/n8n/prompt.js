/**
 * What the model is asked, as `generator/prompt.ts` asks it, from the texts of the node “Settings”. `workflow.ts`
 * puts it as text into an expression of the n8n workflows: see `answer.js`.
 */

/**
 * @param job the message
 * @param settings the fields of the node “Settings”
 */
export const userPrompt = (job, settings) => {
  const { kind, quiz_count, title, description, metadata, current, instruction, previous } = job
  const textOf = (name) => settings[`${name}_${job.locale === 'en' ? 'en' : 'ko'}`]
  // A mark that closes what is around it cannot stand in it.
  const between = (mark, value) =>
    `<${mark}>\n${JSON.stringify(value, null, 2).replaceAll('<', '\\u003c')}\n</${mark}>`
  // Only an answer that was refused says something about the next one.
  const isMistake = previous?.reason === 'invalid_result' && typeof previous.error === 'string'
  return [
    textOf(kind).replaceAll('{quiz_count}', String(quiz_count)),
    current ? `${textOf('again')}\n${between('current', current)}` : '',
    instruction ? `${textOf('wish')}\n${between('wish', instruction)}` : '',
    isMistake ? `${textOf('mistake')}\n${between('mistake', previous.error)}` : '',
    between('material', { title, description, metadata }),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}
