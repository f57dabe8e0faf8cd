/**
 * The example workflow of the n8n community node package: the nodes of `deploy/n8n/node` make a worker of six nodes
 * and four expressions. `npm run generate` writes it.
 */
import { CREDENTIALS, type Workflow } from './workflow.js'

const PACKAGE = 'n8n-nodes-chaptercast'
const LANGCHAIN = '@n8n/n8n-nodes-langchain'
const chaptercastApi = { id: null, name: 'chaptercast' } as const

export function exampleWorkflow(): Workflow {
  const own = { credentials: { chaptercastApi } }
  return {
    id: 'chaptercast-example',
    name: 'chaptercast (nodes)',
    nodes: [
      {
        id: 'example-trigger',
        name: 'Chaptercast Trigger',
        type: `${PACKAGE}.chaptercastTrigger`,
        typeVersion: 1,
        position: [0, 96],
        parameters: { path: 'chaptercast-jobs' },
        webhookId: '0c1f7c0e-7f6b-4d0e-8b7a-2f4b6f0f9a31',
        ...own,
      },
      {
        id: 'example-begin',
        name: 'Begin a Job',
        type: `${PACKAGE}.chaptercast`,
        typeVersion: 1,
        position: [224, 96],
        parameters: { operation: 'begin' },
        ...own,
      },
      {
        id: 'example-chain',
        name: 'Basic LLM Chain',
        type: `${LANGCHAIN}.chainLlm`,
        typeVersion: 1.9,
        position: [448, 96],
        parameters: {
          promptType: 'define',
          text: '={{ $json.user }}',
          messages: {
            messageValues: [{ type: 'SystemMessagePromptTemplate', message: '={{ $json.system }}' }],
          },
        },
        onError: 'continueErrorOutput',
      },
      {
        id: 'example-model',
        name: 'OpenAI Chat Model',
        type: `${LANGCHAIN}.lmChatOpenAi`,
        typeVersion: 1.3,
        position: [520, 328],
        parameters: {
          model: { __rl: true, mode: 'id', value: 'gpt-4o-mini' },
          responsesApiEnabled: false,
          options: { timeout: 180_000, maxRetries: 0 },
        },
        credentials: { openAiApi: CREDENTIALS.openAiApi },
      },
      {
        id: 'example-deliver',
        name: 'Deliver an Answer',
        type: `${PACKAGE}.chaptercast`,
        typeVersion: 1,
        position: [800, 0],
        parameters: { operation: 'deliver', answer: '={{ $json.text }}' },
        ...own,
      },
      {
        id: 'example-fail',
        name: 'Fail',
        type: `${PACKAGE}.chaptercast`,
        typeVersion: 1,
        position: [800, 192],
        parameters: { operation: 'fail', error: '={{ $json.error }}', options: {} },
        ...own,
      },
    ],
    connections: {
      'Chaptercast Trigger': { main: [[{ node: 'Begin a Job', type: 'main', index: 0 }]] },
      'Begin a Job': { main: [[{ node: 'Basic LLM Chain', type: 'main', index: 0 }]] },
      'Basic LLM Chain': {
        main: [
          [{ node: 'Deliver an Answer', type: 'main', index: 0 }],
          [{ node: 'Fail', type: 'main', index: 0 }],
        ],
      },
      'OpenAI Chat Model': {
        main: [],
        ai_languageModel: [[{ node: 'Basic LLM Chain', type: 'ai_languageModel', index: 0 }]],
      },
    },
    settings: {
      executionOrder: 'v1',
      executionTimeout: 3600,
      saveDataErrorExecution: 'all',
      saveDataSuccessExecution: 'all',
      timezone: 'UTC',
    },
    active: false,
  }
}
