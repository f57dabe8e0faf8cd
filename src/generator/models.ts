/**
 * Which model answers, from the configuration.
 */
import type { Config } from '../config/config.js'
import type { Model } from './model.js'
import { createOpenAiModel } from './openai.js'
import { createSampleModel } from './sample.js'
import type { Log } from './worker.js'

/**
 * What `GENERATOR` names. Where it names none (`off` is what a server is told when others generate), the
 * language model if there is one, else the sample text.
 */
export function chooseModel(
  { generator, openai, generatorDelayMs }: Pick<Config, 'generator' | 'openai' | 'generatorDelayMs'>,
  log: Log,
): { name: string; model: Model } {
  // `GENERATOR=openai` without `OPENAI_MODEL` was refused with the configuration.
  if (generator !== 'sample' && openai !== undefined)
    return { name: `openai (${openai.model})`, model: createOpenAiModel(openai, { log }) }
  return { name: 'sample', model: createSampleModel({ delayMs: generatorDelayMs }) }
}
