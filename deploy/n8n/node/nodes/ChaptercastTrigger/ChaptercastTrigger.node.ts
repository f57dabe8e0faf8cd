import type {
  IDataObject,
  INodeType,
  INodeTypeDescription,
  IWebhookFunctions,
  IWebhookResponseData,
} from 'n8n-workflow'
import { NodeConnectionTypes } from 'n8n-workflow'
import { isOf, jobIn } from '../Chaptercast/job'
import { isSigned } from './signature'

export class ChaptercastTrigger implements INodeType {
  description: INodeTypeDescription = {
    displayName: 'Chaptercast Trigger',
    name: 'chaptercastTrigger',
    icon: { light: 'file:../../icons/chaptercast.svg', dark: 'file:../../icons/chaptercast.dark.svg' },
    group: ['trigger'],
    version: 1,
    subtitle: '={{ "/webhook/" + $parameter["path"] }}',
    description: 'Takes jobs from a chaptercast server with DISPATCH=http',
    eventTriggerDescription: 'Waiting for a job at the address above: DISPATCH_URL of the server',
    defaults: { name: 'Chaptercast Trigger' },
    inputs: [],
    outputs: [NodeConnectionTypes.Main],
    credentials: [{ name: 'chaptercastApi', required: true }],
    webhooks: [
      {
        name: 'default',
        httpMethod: 'POST',
        responseMode: 'onReceived',
        // An expression, because a text would not become a number.
        responseCode: '={{ 202 }}',
        path: '={{ $parameter["path"] }}',
        isFullPath: true,
      },
    ],
    properties: [
      {
        displayName: 'Path',
        name: 'path',
        type: 'string',
        default: 'chaptercast-jobs',
        required: true,
        description: 'Last part of the address that DISPATCH_URL of the server names',
      },
    ],
  }

  // There is nothing to register: the server is told the address by DISPATCH_URL.
  webhookMethods = {
    default: {
      async checkExists(): Promise<boolean> {
        return true
      },
      async create(): Promise<boolean> {
        return true
      },
      async delete(): Promise<boolean> {
        return true
      },
    },
  }

  async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
    const { baseUrl, dispatchSecret } = await this.getCredentials<{
      baseUrl: string
      dispatchSecret: string
    }>('chaptercastApi')
    const refuse = (status: number, message: string): IWebhookResponseData => {
      this.getResponseObject().status(status).json({ message })
      return { noWebhookResponse: true }
    }
    const isProtected = dispatchSecret.trim() !== ''
    const { rawBody } = this.getRequestObject()
    if (isProtected && !isSigned(this.getHeaderData(), rawBody, dispatchSecret, Date.now()))
      return refuse(401, 'The signature does not fit: compare DISPATCH_SECRET with the credential')
    const job = jobIn(this.getBodyData())
    if (job === undefined) return refuse(400, 'The body is not a job')
    // What is unsigned may be anybody’s: the webhook secret goes to the credential’s server only.
    if (!isProtected && !isOf(baseUrl, job))
      return refuse(403, 'The job calls back to another server than the credential’s base URL')
    return {
      webhookResponse: { message: 'The job was taken' },
      workflowData: [[{ json: job as unknown as IDataObject }]],
    }
  }
}
