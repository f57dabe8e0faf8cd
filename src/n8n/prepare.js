/**
 * The Code node “Prepare” of the n8n workflows: what the message asks for, and the prompt. Runs in n8n, without
 * imports; `workflow.ts` puts it into the workflows as text.
 */

/**
 * Never throws: a message that is not as agreed is told of as `ok: false`, and passed over.
 * @param message the value of a Kafka record, parsed if it was JSON
 * @param settings the fields of the node “Settings”
 * @param schema what the model’s answer must look like, as “structured outputs” want it
 */
export function prepare(message, settings, { kind, schema, texts }) {
  const problem = problemOf(message, kind)
  if (problem !== undefined) return { ok: false, problem }
  const { job_id, attempt, chapter_id, title, description, metadata, quiz_count, deadline_at } = message
  const { callback, previous } = message
  const locale = message.locale === 'en' ? 'en' : 'ko'
  const task = settings[`task_${locale}`].replaceAll('{quiz_count}', String(quiz_count))
  // Only an answer that was refused says something about the next one.
  const isMistake = previous?.reason === 'invalid_result' && typeof previous.error === 'string'
  const mistake = isMistake
    ? `\n\n${texts[locale].mistake}\n<mistake>\n${jsonOf(previous.error)}\n</mistake>`
    : ''
  return {
    ok: true,
    kind,
    job_id,
    attempt,
    chapter_id,
    locale,
    quiz_count,
    deadline_at,
    start_url: callback.start_url,
    finish_url: callback.finish_url,
    fail_url: callback.fail_url,
    progress_url: callback.progress_url,
    system: settings[`system_${locale}`],
    user: `${task}${mistake}\n\n<material>\n${jsonOf({ title, description, metadata })}\n</material>`,
    // The surest first. A server that refuses one is asked with the next, at last with none.
    response_formats: [
      { type: 'json_schema', json_schema: { name: kind, strict: true, schema } },
      { type: 'json_object' },
      null,
    ],
    asked: texts[locale].asked,
    answered: texts[locale].answered,
  }
}

/** A mark that closes what is around it cannot stand in it. */
function jsonOf(value) {
  return JSON.stringify(value, null, 2).replaceAll('<', '\\u003c')
}

function problemOf(message, kind) {
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    return 'the message is not a JSON object'
  if (message.kind !== kind) return `the message is not of kind ${kind}`
  if (typeof message.job_id !== 'string' || !Number.isInteger(message.attempt))
    return 'job_id or attempt is missing'
  if (typeof message.title !== 'string' || !Number.isInteger(message.quiz_count))
    return 'title or quiz_count is missing'
  if (Number.isNaN(Date.parse(message.deadline_at))) return 'deadline_at is missing'
  for (const name of ['start_url', 'finish_url', 'fail_url', 'progress_url'])
    if (!/^https?:\/\//.test(String(message.callback?.[name]))) return `callback.${name} is not an address`
  return undefined
}
