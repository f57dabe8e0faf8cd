import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import t from 'tap'
import { bearerFrom, createSecretCheck } from '../../src/auth/webhook-secret.js'

t.test('any of the secrets is good, and nothing else is', async (t) => {
  const isSecret = createSecretCheck(['the old one', 'the new one', '비밀'])
  for (const good of ['the old one', 'the new one', Buffer.from('비밀').toString('latin1')])
    t.ok(isSecret(good), good)
  for (const bad of [undefined, '', 'the', 'the old one ', 'THE OLD ONE', 'the old one,the new one', '비밀'])
    t.notOk(isSecret(bad), String(bad))
  t.notOk(createSecretCheck([])(''), 'without secrets none is good')
})

t.test('every secret is compared, whole and at one length, whatever was sent', async (t) => {
  const lengths: number[] = []
  const { timingSafeEqual } = crypto
  t.teardown(() => {
    crypto.timingSafeEqual = timingSafeEqual
    syncBuiltinESMExports()
  })
  crypto.timingSafeEqual = (a, b) => {
    lengths.push(a.byteLength, b.byteLength)
    return timingSafeEqual(a, b)
  }
  syncBuiltinESMExports()
  const isSecret = createSecretCheck(['first', 'second', 'third'])
  for (const given of ['first', 'third', 'neither', 'x'.repeat(5000)]) {
    lengths.length = 0
    isSecret(given)
    t.same(lengths, Array(6).fill(32), given.slice(0, 10))
  }
})

t.test('a bearer’s credentials are what follows the word', async (t) => {
  t.equal(bearerFrom('Bearer abc.def-_~+/='), 'abc.def-_~+/=')
  t.equal(bearerFrom('bearer  two words'), 'two words')
  for (const other of [undefined, '', 'Bearer', 'Bearer ', 'Basic abc', 'Bearerabc', 'abc'])
    t.equal(bearerFrom(other), undefined, String(other))
})
