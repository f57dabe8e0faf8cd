/**
 * A cancel reaches a worker within five seconds, also one whose model is silent, and it hangs up on the model.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { buildTestApp } from '../support/app.js'
import { createChapter, post } from '../support/client.js'
import { waitFor } from '../support/condition.js'

t.test('a cancelled chapter makes the generator hang up on a model that says nothing', async (t) => {
  let open = 0
  const model = createServer((request, response) => {
    request.resume()
    open += 1
    response.on('close', () => {
      open -= 1
    })
  })
  model.listen(0, '127.0.0.1')
  await once(model, 'listening')
  t.teardown(() => {
    model.closeAllConnections()
    model.close()
  })
  const { url } = await buildTestApp(t, {
    GENERATOR: 'openai',
    OPENAI_BASE_URL: `http://127.0.0.1:${(model.address() as AddressInfo).port}/v1`,
    OPENAI_MODEL: 'silent',
  })
  const id = await createChapter(url)
  await waitFor('three models to be asked', () => open === 3)
  await post(`${url}/v1/chapter/${id}/cancel`)
  await waitFor('all connections to be closed', () => open === 0, { timeoutMs: 20_000 })
})
