import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { createTokenVerifier, type JwksTimes } from '../../src/auth/token.js'
import type { JwtConfig } from '../../src/config/config.js'
import { waitFor } from '../support/condition.js'
import { JWT_SECRET, signToken } from './tokens.js'

const SHARED: JwtConfig = { secret: JWT_SECRET, jwksUrl: undefined, issuer: undefined, audience: undefined }
const otherKey = new TextEncoder().encode('another-key-that-is-32-bytes-or-more-and-not-the-one')

t.test('a token signed with the shared key is good until it ends', async (t) => {
  const verify = createTokenVerifier(SHARED)
  for (const algorithm of ['HS256', 'HS384', 'HS512'])
    t.match(await verify(await signToken({ sub: '7' }, { algorithm })), {
      access: { kind: 'owner', ownerId: 7 },
      subject: '7',
    })
  const { expiresAt } = await verify(await signToken({ sub: '7' }, { expiresInS: 60 }))
  t.ok(Math.abs(expiresAt - Date.now() - 65_000) < 30_000, 'its end, and the tolerance between clocks')
})

t.test('a signed token whose `sub` is an object or a list is refused, not a fault', async (t) => {
  const verify = createTokenVerifier(SHARED)
  for (const sub of [{ toString: 1 }, {}, [], true, null])
    await t.rejects(
      verify(await signToken({ sub, role: 'admin' })),
      { code: 'unauthorized' },
      JSON.stringify(sub),
    )
})

t.test('a token that is not good is refused, and why is said', async (t) => {
  const verify = createTokenVerifier({ ...SHARED, issuer: 'https://issuer.example', audience: 'chaptercast' })
  const claims = { sub: '7', iss: 'https://issuer.example', aud: 'chaptercast' }
  await t.resolves(verify(await signToken({ ...claims, aud: ['another', 'chaptercast'] })))

  const good = await signToken(claims)
  const [head, body, signature] = good.split('.')
  const forged = Buffer.from(JSON.stringify({ ...claims, sub: '8', exp: 9e9 })).toString('base64url')
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  void publicKey
  const cases: Record<string, [token: unknown, code: string, message: RegExp]> = {
    expired: [await signToken(claims, { expiresInS: -10 }), 'token_expired', /expired/],
    'without an end': [await signToken(claims, { expiresInS: null }), 'unauthorized', /`exp` is missing/],
    'not valid yet': [await signToken(claims, { notBeforeInS: 60 }), 'unauthorized', /not valid yet/],
    'of another issuer': [await signToken({ ...claims, iss: 'evil' }), 'unauthorized', /`iss`/],
    'without an issuer': [await signToken({ ...claims, iss: undefined }), 'unauthorized', /`iss`/],
    'for another audience': [await signToken({ ...claims, aud: 'shop' }), 'unauthorized', /`aud`/],
    'signed with another key': [await signToken(claims, { key: otherKey }), 'unauthorized', /signature/],
    'of a public-key algorithm': [
      await signToken(claims, { algorithm: 'RS256', key: privateKey }),
      'unauthorized',
      /algorithm/,
    ],
    'signed by nobody': [
      new UnsecuredJWT(claims).setExpirationTime('1h').encode(),
      'unauthorized',
      /cannot|can be verified|algorithm/,
    ],
    'tampered with': [`${head}.${forged}.${signature}`, 'unauthorized', /signature/],
    'without its signature': [`${head}.${body}.`, 'unauthorized', /signature/],
    'with an unknown critical header': [
      `${Buffer.from('{"alg":"HS256","crit":["x"],"x":1}').toString('base64url')}.${body}.${signature}`,
      'unauthorized',
      /./,
    ],
    'no token at all': ['nonsense', 'unauthorized', /./],
    'half a token': [`${head}.${body}`, 'unauthorized', /./],
    'an empty text': ['', 'unauthorized', /needs a token/],
    'not a text': [{ token: good }, 'unauthorized', /needs a token/],
    missing: [undefined, 'unauthorized', /needs a token/],
    'of somebody without a number': [await signToken({ ...claims, sub: 'alice' }), 'unauthorized', /`sub`/],
  }
  for (const [what, [token, code, message]] of Object.entries(cases)) {
    const error = await verify(token).then(
      () => undefined,
      (refusal: unknown) => refusal,
    )
    t.match(error, { code, message }, what)
    const told = JSON.stringify(error, Object.getOwnPropertyNames(error))
    t.notOk(/cause|payload|eyJ/.test(told), `${what}: neither the token nor its claims are in the error`)
  }
})

t.test('a `sub` that no database can hold is refused, whatever else the token says', async (t) => {
  const verify = createTokenVerifier(SHARED)
  for (const sub of ['\0', 'a\0b', '\ud800', 'x\udc00'])
    for (const more of [{ role: 'admin' }, { chapters: [1] }])
      await t.rejects(verify(await signToken({ sub, ...more })), { code: 'unauthorized', message: /`sub`/ })
  t.match(await verify(await signToken({ sub: '선생님 👩‍🏫', role: 'admin' })), { subject: '선생님 👩‍🏫' })
})

t.test('clocks may differ by a few seconds', async (t) => {
  const verify = createTokenVerifier(SHARED)
  await t.resolves(verify(await signToken({ sub: '7' }, { expiresInS: -2 })))
  await t.resolves(verify(await signToken({ sub: '7' }, { notBeforeInS: 2 })))
})

t.test('a token is good by the key that its issuer publishes', async (t) => {
  const issuer = await startIssuer(t)
  const verify = createTokenVerifier(issuer.config)
  for (const algorithm of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    const { privateKey, kid } = await issuer.publish(algorithm)
    issuer.forget()
    const other = createTokenVerifier(issuer.config)
    t.match(
      await other(await signToken({ sub: '7' }, { algorithm, key: privateKey, kid })),
      { subject: '7' },
      algorithm,
    )
  }
  await t.rejects(
    verify(await signToken({ sub: '7' })),
    { code: 'unauthorized', message: /algorithm/ },
    'a shared key is not accepted there',
  )
  const published = JSON.stringify(issuer.keys[0])
  await t.rejects(
    verify(
      await signToken(
        { sub: '7' },
        { key: new TextEncoder().encode(published), kid: issuer.keys[0]?.kid ?? '' },
      ),
    ),
    { code: 'unauthorized' },
    'nor a public key used as one',
  )
})

t.test('a token that names no key is tried with each that may be its own', async (t) => {
  const issuer = await startIssuer(t)
  const verify = createTokenVerifier(issuer.config)
  const [first, second] = [await issuer.publish('ES256'), await issuer.publish('ES256')]
  const stranger = await generateKeyPair('ES256')
  for (const { privateKey } of [first, second])
    t.match(await verify(await signToken({ sub: '7' }, { algorithm: 'ES256', key: privateKey })), {
      subject: '7',
    })
  await t.rejects(
    verify(await signToken({ sub: '7' }, { algorithm: 'ES256', key: second.privateKey, expiresInS: -60 })),
    { code: 'token_expired' },
  )
  await t.rejects(verify(await signToken({ sub: '7' }, { algorithm: 'ES256', key: stranger.privateKey })), {
    code: 'unauthorized',
  })
})

t.test(
  'a new key is found when a token names it, and unknown ones are not asked for again and again',
  async (t) => {
    const issuer = await startIssuer(t)
    const verify = createTokenVerifier(issuer.config, { jwks: { cooldownMs: 200 } })
    const old = await issuer.publish('ES256')
    const sign = ({ privateKey, kid }: typeof old) =>
      signToken({ sub: '7' }, { algorithm: 'ES256', key: privateKey, kid })
    await verify(await sign(old))
    const next = await issuer.publish('ES256')
    await waitFor('the new key is known', async () => await verify(await sign(next)))
    await t.resolves(verify(await sign(old)), 'the old one is good while it is published')
    t.equal(issuer.requests, 2)

    const slow = createTokenVerifier(issuer.config)
    await slow(await sign(old))
    const stranger = await generateKeyPair('ES256')
    const before = issuer.requests
    for (let n = 0; n < 20; n++)
      await t.rejects(slow(await sign({ ...stranger, kid: `unknown-${n}` })), { code: 'unauthorized' })
    t.equal(issuer.requests, before)
  },
)

t.test('while the keys cannot be fetched no token is called invalid', async (t) => {
  for (const trouble of ['away', 'failing', 'nonsense', 'silent'] as const) {
    const issuer = await startIssuer(t)
    const key = await issuer.publish('ES256')
    const token = await signToken({ sub: '7' }, { algorithm: 'ES256', key: key.privateKey, kid: key.kid })
    issuer.is(trouble)
    const verify = createTokenVerifier(issuer.config, { jwks: { timeoutMs: 100, pauseMs: 50 } })
    await t.rejects(verify(token), { code: 'unavailable', retryAfterS: 5 }, trouble)
    const before = issuer.requests
    await t.rejects(verify(token), { code: 'unavailable' })
    t.equal(issuer.requests, before, 'and the issuer is left alone for a moment')
    issuer.is('well')
    t.match(await waitFor('the keys are there', () => verify(token)), { subject: '7' })
  }
})

t.test('keys that were fetched serve on for a while when no newer ones can be', async (t) => {
  const issuer = await startIssuer(t)
  const key = await issuer.publish('ES256')
  const newer = await issuer.publish('ES256')
  issuer.keys.pop()
  const sign = ({ privateKey, kid }: typeof key) =>
    signToken({ sub: '7' }, { algorithm: 'ES256', key: privateKey, kid })
  const [token, newerToken] = [await sign(key), await sign(newer)]
  const times: Partial<JwksTimes> = { maxAgeMs: 0, cooldownMs: 0, pauseMs: 0 }
  const verify = createTokenVerifier(issuer.config, { jwks: times })
  const impatient = createTokenVerifier(issuer.config, { jwks: { ...times, staleMs: 0 } })
  await Promise.all([verify(token), impatient(token)])
  issuer.is('failing')
  t.match(await verify(token), { subject: '7' })
  await t.rejects(verify(newerToken), { code: 'unavailable' }, 'a key that is not among them may be new')
  await t.rejects(impatient(token), { code: 'unavailable' }, 'but not for ever')
})

t.test('a published key that cannot be used concerns its own tokens and no others', async (t) => {
  const oddKeys: Record<string, object> = {
    'a shared key': { kty: 'oct', k: 'c2VjcmV0', alg: 'ES256' },
    'a point that is not on the curve': { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' },
    'no point': { kty: 'EC', crv: 'P-256' },
    'another curve': { kty: 'EC', crv: 'P-999', x: 'AAAA', y: 'AAAA' },
    'a private key': {
      ...(await exportJWK((await generateKeyPair('ES256', { extractable: true })).privateKey)),
    },
    'a key of no kind': { kty: 7 },
  }
  for (const [what, odd] of Object.entries(oddKeys)) {
    const issuer = await startIssuer(t)
    const good = await issuer.publish('ES256')
    issuer.keys.push({ ...odd, kid: 'odd' } as JWK)
    const verify = createTokenVerifier(issuer.config, { jwks: { cooldownMs: 0, maxAgeMs: 0 } })
    const sign = (kid: string | undefined, key = good.privateKey) =>
      signToken({ sub: '7' }, { algorithm: 'ES256', key, ...(kid === undefined ? {} : { kid }) })
    for (let count = 0; count < 3; count += 1)
      await t.rejects(verify(await sign('odd')), { code: 'unauthorized' }, what)
    t.match(await verify(await sign(good.kid)), { subject: '7' }, what)
    t.match(await verify(await sign(undefined)), { subject: '7' }, `${what}: a token that names no key`)
    const next = await issuer.publish('ES256')
    t.match(
      await verify(await sign(next.kid, next.privateKey)),
      { subject: '7' },
      'the issuer is asked as before',
    )
  }
})

t.test('entries of the issuer’s list that are not keys are ignored', async (t) => {
  const issuer = await startIssuer(t)
  issuer.keys.push(...([null, 1, 'x', []] as unknown as JWK[]))
  const good = await issuer.publish('ES256')
  const token = await signToken({ sub: '7' }, { algorithm: 'ES256', key: good.privateKey, kid: good.kid })
  t.match(await createTokenVerifier(issuer.config)(token), { subject: '7' })
})

/** An HTTP server that publishes keys, and can be in trouble. */
async function startIssuer(t: Test) {
  const keys: JWK[] = []
  let state: 'well' | 'away' | 'failing' | 'nonsense' | 'silent' = 'well'
  let requests = 0
  const server = createServer((request, response) => {
    requests += 1
    if (state === 'away') request.socket.destroy()
    else if (state === 'failing') response.writeHead(500).end()
    else if (state === 'nonsense') response.end('<html>')
    else if (state === 'well') response.end(JSON.stringify({ keys }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
  const config: JwtConfig = { secret: undefined, jwksUrl, issuer: undefined, audience: undefined }
  return {
    keys,
    config,
    get requests() {
      return requests
    },
    is(what: typeof state) {
      state = what
    },
    forget() {
      keys.splice(0, keys.length - 1)
    },
    async publish(algorithm: string) {
      const { publicKey, privateKey } = await generateKeyPair(algorithm)
      const kid = `key-${keys.length + 1}-${algorithm}`
      keys.push({ ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' })
      return { privateKey, kid }
    },
  }
}
