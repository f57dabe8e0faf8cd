/** The operators’ page in tests: a server that sends notices, and a way to open the page on it. */
import type { Browser } from 'playwright-core'
import type { Test } from 'tap'
import { noticeReceiver } from '../support/receiver.js'
import { openPage } from './browser.js'
import { get, startServer } from './worker.js'

/** Whatever waits longer than no time at all. */
export const STUCK = '?view=stuck&unsent_s=0&unstarted_s=0&silent_s=0'

export async function startForOperators(t: Test, browser: Browser) {
  const receiver = await noticeReceiver(t)
  const { url } = await startServer(t, { NOTIFY_URL: receiver.url })
  return {
    receiver,
    url,
    open: (t: Test, address: string) => openPage(t, browser, `${url}/admin${address}`),
    async jobOf(id: number, kind: string) {
      const { jobs } = await get<{
        jobs: { kind: string; job_id: string; status: string; attempt: number }[]
      }>(`${url}/v1/chapter/${id}`)
      return jobs.find((job) => job.kind === kind)
    },
  }
}
