import t from 'tap'
import { keyOf, webhookHeaders } from '../../src/dispatch/standard-webhooks.js'

/** From the tests of the standard’s own libraries. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const AT = 1_614_265_330_000
const BODY = '{"test": 2432232314}'
const SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

t.test('a message is signed as the standard’s libraries sign it', async (t) => {
  t.strictSame(webhookHeaders(ID, AT, BODY, [keyOf(SECRET)]), {
    'webhook-id': ID,
    'webhook-timestamp': '1614265330',
    'webhook-signature': SIGNATURE,
  })
})

t.test('a secret without whsec_ is the key as it stands', async (t) => {
  t.strictSame(keyOf('hunter2'), Buffer.from('hunter2'))
})

t.test('while a secret is rotated a message has a signature for each', async (t) => {
  const headers = webhookHeaders(ID, AT, BODY, [keyOf('new'), keyOf(SECRET)])
  t.match(headers['webhook-signature'], /^v1,\S+ v1,\S+$/)
  t.equal(headers['webhook-signature']?.split(' ')[1], SIGNATURE)
})

t.test('without a secret nothing is signed', async (t) => {
  t.strictSame(Object.keys(webhookHeaders(ID, AT, BODY, [])), ['webhook-id', 'webhook-timestamp'])
})
