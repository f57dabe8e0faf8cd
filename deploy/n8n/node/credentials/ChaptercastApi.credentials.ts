import type {
  IAuthenticateGeneric,
  ICredentialTestRequest,
  ICredentialType,
  INodeProperties,
} from 'n8n-workflow'

export class ChaptercastApi implements ICredentialType {
  name = 'chaptercastApi'

  displayName = 'Chaptercast API'

  icon = {
    light: 'file:../icons/chaptercast.svg',
    dark: 'file:../icons/chaptercast.dark.svg',
  } as const

  documentationUrl = 'https://github.com/chaptercast/chaptercast/tree/main/deploy/n8n/node#credential'

  properties: INodeProperties[] = [
    {
      displayName: 'Base URL',
      name: 'baseUrl',
      type: 'string',
      default: 'http://localhost:8000',
      description:
        'Where the server is, for the test of this credential. Jobs bring the addresses for their callbacks. Without a dispatch secret, the trigger takes only jobs that call back to this address',
    },
    {
      displayName: 'Webhook Secret',
      name: 'webhookSecret',
      type: 'string',
      typeOptions: { password: true },
      default: '',
      description: 'WEBHOOK_SECRET of the server, one of them if there are several. Empty if it has none',
    },
    {
      displayName: 'Dispatch Secret',
      name: 'dispatchSecret',
      type: 'string',
      typeOptions: { password: true },
      default: '',
      description:
        'DISPATCH_SECRET of the server, with which it signs jobs for the trigger. Several, separated by commas, while one is rotated',
    },
  ]

  authenticate: IAuthenticateGeneric = {
    type: 'generic',
    properties: {
      headers: {
        Authorization:
          '={{ $credentials.webhookSecret ? "Bearer " + $credentials.webhookSecret : undefined }}',
      },
    },
  }

  test: ICredentialTestRequest = {
    request: {
      baseURL: '={{ $credentials.baseUrl }}',
      url: '/readyz',
    },
  }
}
