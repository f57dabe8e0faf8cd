import type { IExecuteFunctions, INodeExecutionData, INodeType, INodeTypeDescription } from 'n8n-workflow'
import { NodeConnectionTypes, NodeOperationError } from 'n8n-workflow'
import { OPERATIONS } from './operations'

export class Chaptercast implements INodeType {
  description: INodeTypeDescription = {
    displayName: 'Chaptercast',
    name: 'chaptercast',
    icon: { light: 'file:../../icons/chaptercast.svg', dark: 'file:../../icons/chaptercast.dark.svg' },
    group: ['transform'],
    version: 1,
    subtitle: '={{ $parameter["operation"] }}',
    description:
      'Begin a job of chaptercast, report progress, deliver what a model wrote, or say why it failed',
    defaults: { name: 'Chaptercast' },
    usableAsTool: true,
    inputs: [NodeConnectionTypes.Main],
    outputs: [NodeConnectionTypes.Main],
    credentials: [{ name: 'chaptercastApi', required: true }],
    properties: [
      {
        displayName: 'Operation',
        name: 'operation',
        type: 'options',
        noDataExpression: true,
        options: [
          {
            name: 'Begin a Job',
            value: 'begin',
            action: 'Begin a job',
            description: 'Ask whether it is still wanted, and pass on what is, with prompt and JSON schema',
          },
          {
            name: 'Deliver an Answer',
            value: 'deliver',
            action: 'Deliver an answer',
            description: 'Send what the model wrote, and wait for a server that is away',
          },
          {
            name: 'Fail',
            value: 'fail',
            action: 'Fail',
            description: 'Say why there is no answer',
          },
          {
            name: 'Report Progress',
            value: 'progress',
            action: 'Report progress',
            description: 'Say how far it is; a cancelled job is not passed on',
          },
        ],
        default: 'begin',
      },
      {
        displayName: 'Answer',
        name: 'answer',
        type: 'string',
        typeOptions: { rows: 3 },
        default: '={{ $json.text }}',
        required: true,
        displayOptions: { show: { operation: ['deliver'] } },
        description:
          'The model’s own text, as it came: the server finds the result in it, mends and judges it',
      },
      {
        displayName: 'Progress',
        name: 'progress',
        type: 'number',
        typeOptions: { minValue: 0, maxValue: 99 },
        default: 10,
        required: true,
        displayOptions: { show: { operation: ['progress'] } },
        description: 'In percent',
      },
      {
        displayName: 'Message',
        name: 'message',
        type: 'string',
        default: '',
        displayOptions: { show: { operation: ['progress'] } },
        description: 'What is being done, for the people who watch the chapter',
      },
      {
        displayName: 'Error',
        name: 'error',
        type: 'string',
        default: '={{ $json.error }}',
        required: true,
        displayOptions: { show: { operation: ['fail'] } },
        description: 'What went wrong: a text, or the error of another node',
      },
      {
        displayName: 'Options',
        name: 'options',
        type: 'collection',
        placeholder: 'Add Option',
        default: {},
        displayOptions: { show: { operation: ['fail'] } },
        options: [
          {
            displayName: 'End as Failed',
            name: 'endRed',
            type: 'boolean',
            default: true,
            description: 'Whether the execution is shown as failed after the server was told',
          },
          {
            displayName: 'Reason',
            name: 'reason',
            type: 'options',
            options: [
              { name: 'Invalid Result', value: 'invalid_result' },
              { name: 'Model Error', value: 'model_error' },
              { name: 'Rate Limited', value: 'rate_limited' },
              { name: 'Recognised From the Error', value: 'auto' },
              { name: 'Refused', value: 'refused' },
              { name: 'Timeout', value: 'timeout' },
              { name: 'Unavailable', value: 'unavailable' },
            ],
            default: 'auto',
          },
          {
            displayName: 'Retry After (Seconds)',
            name: 'retryAfter',
            type: 'number',
            typeOptions: { minValue: 1, maxValue: 3600 },
            default: 30,
            description: 'How long the server waits at least before the next attempt',
          },
          {
            displayName: 'Retryable',
            name: 'retryable',
            type: 'boolean',
            default: true,
            description: 'Whether another attempt may succeed',
          },
        ],
      },
    ],
  }

  async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
    const passedOn: INodeExecutionData[] = []
    for (let itemIndex = 0; itemIndex < this.getInputData().length; itemIndex += 1) {
      const operation = this.getNodeParameter('operation', itemIndex) as string
      try {
        const json = await OPERATIONS[operation]?.(this, itemIndex)
        if (json !== undefined) passedOn.push({ json, pairedItem: { item: itemIndex } })
      } catch (error) {
        if (this.continueOnFail()) {
          passedOn.push({ json: { error: error.message }, pairedItem: { item: itemIndex } })
          continue
        }
        // One that says where it was thrown stays as it is.
        throw new NodeOperationError(this.getNode(), error, { itemIndex })
      }
    }
    return [passedOn]
  }
}
