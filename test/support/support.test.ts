import postgres from 'postgres'
import t, { type Test } from 'tap'
import { freePort, waitFor } from './condition.js'
import { createDatabase } from './postgres.js'

t.test('each test gets a database of its own', async (t) => {
  const urls = await Promise.all([createDatabase(t), createDatabase(t)])
  for (const url of urls) await query(url, 'CREATE TABLE only_here (id int)')
  t.not(urls[0], urls[1])
})

t.test('a database starts as it was prepared, and preparing happens once', async (t) => {
  let times = 0
  const prepare = async (url: string) => {
    times += 1
    await query(url, 'CREATE TABLE prepared (id int)')
  }
  const urls = await Promise.all([1, 2, 3].map(() => createDatabase(t, prepare)))
  for (const url of urls) t.strictSame(await query(url, 'SELECT * FROM prepared'), [])
  // None when an earlier run against the same server prepared it.
  t.ok(times <= 1, `prepared ${times} times`)
})

t.test('the database of a passed test is dropped, that of a failed one is kept', async (t) => {
  for (const { passing, databases } of [
    { passing: true, databases: 0 },
    { passing: false, databases: 1 },
  ]) {
    const subject = standIn(passing)
    const url = await createDatabase(subject.test)
    const printed = t.capture(console, 'error')
    await subject.end()
    const name = new URL(url).pathname.slice(1)
    const found = await query(
      String(process.env.DATABASE_URL),
      `SELECT FROM pg_database WHERE datname = '${name}'`,
    )
    t.equal(found.length, databases)
    t.equal(
      printed()
        .flatMap(({ args }) => args)
        .join()
        .includes(url),
      !passing,
      'its URL is printed if it is kept',
    )
    if (databases) await query(String(process.env.DATABASE_URL), `DROP DATABASE ${name}`)
  }
})

t.test('a test that needs a database and is run by hand is told how to run', async (t) => {
  const url = process.env.DATABASE_URL
  delete process.env.DATABASE_URL
  t.teardown(() => {
    process.env.DATABASE_URL = url
  })
  await t.rejects(createDatabase(t), { message: /npm test -- FILE/ })
})

t.test('a condition is awaited until it holds', async (t) => {
  let checks = 0
  const value = await waitFor('the third check', () => (++checks >= 3 ? 'came' : undefined), { everyMs: 1 })
  t.equal(value, 'came')
  t.equal(checks, 3)
})

t.test('a condition that never comes names itself and what was seen', async (t) => {
  const soon = { timeoutMs: 30, everyMs: 1 }
  const never = 'waited 30 ms for the moon;'
  await t.rejects(
    waitFor('the moon', () => 0, soon),
    { message: `${never} last seen: 0` },
  )
  await t.rejects(
    waitFor('the moon', () => Promise.reject(new Error('cloudy')), soon),
    { message: `${never} last error: cloudy`, cause: { message: 'cloudy' } },
  )
  await t.rejects(
    waitFor('the moon', () => new Promise<boolean>(() => {}), soon),
    {
      message: `${never} no check came back`,
    },
  )
})

t.test('a free port is below those of outgoing connections', async (t) => {
  const port = await freePort()
  t.ok(port > 1023 && port < 32_768, String(port))
})

async function query(url: string, statement: string): Promise<unknown[]> {
  const sql = postgres(url, { max: 1 })
  try {
    return [...(await sql.unsafe(statement))]
  } finally {
    await sql.end()
  }
}

/** As much of a test as `createDatabase` looks at, whose outcome is chosen. */
function standIn(passing: boolean): { test: Test; end: () => Promise<void> } {
  const teardowns: (() => unknown)[] = []
  const subject = {
    fullname: 'stand-in',
    passing: () => passing,
    teardown: (teardown: () => unknown) => teardowns.push(teardown),
  }
  return {
    test: subject as unknown as Test,
    end: async () => {
      for (const teardown of teardowns) await teardown()
    },
  }
}
