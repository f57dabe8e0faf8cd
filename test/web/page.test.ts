/**
 * The live page, in a real browser against a real server; the test plays the worker.
 * Skipped only where there is no Chromium (`CHROMIUM_PATH` says where one is).
 */
import type { AddressInfo } from 'node:net'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core'
import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { findChromium } from '../support/chromium.js'

interface Server {
  url: string
  /** Stops, lets the caller look around, and starts again with the same data at the same address. */
  restart(whileDown: () => Promise<void>): Promise<void>
}

/** A server whose jobs nobody answers: the test is the worker. */
async function startServer(t: Test): Promise<Server> {
  const dataDir = t.testdir({})
  const listen = async (port: number) => {
    const settings = {
      HOST: '127.0.0.1',
      PORT: `${port}`,
      DATA_DIR: dataDir,
      GENERATOR: 'off',
      LOG_LEVEL: 'error',
    }
    const app = await buildApp(readConfig(settings))
    await app.listen({ host: '127.0.0.1', port })
    return app
  }
  let app = await listen(0)
  const { port } = app.server.address() as AddressInfo
  t.teardown(() => app.close())
  return {
    url: `http://127.0.0.1:${port}`,
    async restart(whileDown) {
      await app.close()
      await whileDown()
      app = await listen(port)
    },
  }
}

const KINDS = ['concept', 'exercise', 'quiz'] as const
type Kind = (typeof KINDS)[number]

const RESULTS = {
  concept: {
    title: 'What a variable is',
    content:
      '# Names\n\nA **variable** is a name.\n\n```python\nage = 17\n```\n\nSee [Python](https://docs.python.org/).',
  },
  exercise: { question: 'Swap `a` and `__b__`.', answer: 'a, __b__ = __b__, a', difficulty: 'easy' },
  quiz: {
    quizzes: [
      {
        question: 'Which one is an integer?',
        correct_answer: '42',
        options: ['"42"', '42', '4.2'],
        type: 'multiple',
      },
      { question: 'A name may begin with a digit.', correct_answer: 'False', type: 'boolean' },
      { question: 'How long is "Python"?', correct_answer: '6', type: 'short' },
    ],
  },
}

t.setTimeout(180_000)

const found = await findChromium()
if (found === undefined) {
  t.plan(0, 'no Chromium: set CHROMIUM_PATH or install it (apt-get install chromium)')
} else {
  const browser = await chromium.launch({
    executablePath: found.path,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  t.teardown(() => browser.close())
  await testPage(t, browser, await startServer(t))
}

async function testPage(t: Test, browser: Browser, server: Server) {
  const { url } = server

  await t.test('a chapter is created with the keyboard alone and read to its end', async (t) => {
    const page = await openPage(t, browser, `${url}/`)
    await tabTo(page, '#title')
    await page.keyboard.type('  Variables and types ')
    await tabTo(page, '#description')
    await page.keyboard.type('Python for beginners')
    await tabTo(page, '#create-button')
    await page.keyboard.press('Enter')

    await page.getByRole('heading', { level: 1, name: 'Variables and types' }).waitFor()
    t.equal(await page.evaluate('document.activeElement.id'), 'chapter-title', 'the focus is on what came')
    const id = chapterOf(page)
    await page.locator('#timeline li').nth(3).waitFor()

    await start(url, id, 'concept')
    await waitForText(page, '#job-concept .status', 'Writing')
    await waitForText(page, '#job-concept .facts', 'answer due by')
    await progress(url, id, 'concept', 40)
    const concept = page.getByRole('progressbar', { name: 'Concept' })
    await page.locator('#concept-bar[aria-valuenow="40"]').waitFor()
    t.match(await concept.getAttribute('aria-valuetext'), '40%, Writing')
    t.equal(
      await page.getByRole('progressbar', { name: 'Whole chapter' }).getAttribute('aria-valuenow'),
      '13',
    )
    for (const kind of KINDS) await finish(url, id, kind)

    await waitForText(page, '#chapter-status', 'Complete')
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    await page.getByRole('heading', { level: 4, name: 'Names' }).waitFor()
    await page.locator('.concept pre', { hasText: 'age = 17' }).waitFor()
    t.match(await page.locator('.exercise .written').first().textContent(), 'Swap a and __b__.')
    t.equal(
      await page.locator('.exercise details .written').isVisible(),
      false,
      'the answer is not given away',
    )
    await page.locator('.quizzes > li').nth(2).waitFor()
    t.equal(await page.locator('.quizzes > li').count(), 3)
    t.equal(await page.locator('#whole-bar').getAttribute('aria-valuenow'), '100')
    t.equal(await page.locator('#actions').isVisible(), false, 'nothing is left to cancel or retry')
    t.match(await page.title(), '✓ Variables and types')
    await waitForSeqs(t, page, url, id)

    await tabTo(page, '.exercise summary')
    await page.keyboard.press('Enter')
    await page.getByText('a, __b__ = __b__, a').waitFor()
    await tabTo(page, '.option')
    await page.keyboard.press('Enter')
    await page.getByText('Not this one').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.locator('.verdict.right').waitFor()
    await page.getByText('0 of 2 right at the first try').waitFor()
    t.same(await duplicateIds(page), [])
  })

  await t.test('what the server refuses is shown beside the form, every violation of it', async (t) => {
    const page = await openPage(t, browser, `${url}/`)
    await page.locator('#more summary').click()
    await page.locator('#owner_id').fill('0')
    await page.locator('#more summary').click()
    await page.locator('#create-button').click()

    await page.getByRole('alert').locator('li', { hasText: '/body/title' }).waitFor()
    await page.getByRole('alert').locator('li', { hasText: '/body/owner_id' }).waitFor()
    const title = page.locator('#title')
    t.equal(await title.getAttribute('aria-invalid'), 'true')
    const describedBy = await title.getAttribute('aria-describedby')
    t.not(await page.locator(`#${describedBy}`).textContent(), '')
    t.equal(await page.evaluate('document.activeElement.id'), 'title', 'the focus is where to begin')

    await title.fill('Right this time')
    await page.locator('#create-button').click()
    await page.locator('#owner_id[aria-invalid]').waitFor()
    t.equal(await title.getAttribute('aria-invalid'), null)
    t.equal(
      await page.evaluate('document.activeElement.id'),
      'owner_id',
      'a hidden field is brought to light',
    )
    await page.locator('#owner_id').fill('1')
    await page.locator('#create-button').click()
    await page.getByRole('heading', { level: 1, name: 'Right this time' }).waitFor()
  })

  await t.test('the address is the chapter, and back and forward go where one was', async (t) => {
    const one = await create(url, 'Chapter one')
    const two = await create(url, 'Chapter two')
    const page = await openPage(t, browser, `${url}/socket_client_example.html?chapter=${one}`)
    await page.getByRole('heading', { level: 1, name: 'Chapter one' }).waitFor()
    await page.getByRole('link', { name: 'New chapter' }).click()
    t.equal(new URL(page.url()).pathname + new URL(page.url()).search, '/socket_client_example.html')
    await page.locator(`#recent a[data-chapter="${two}"]`).click()
    await page.getByRole('heading', { level: 1, name: 'Chapter two' }).waitFor()
    t.equal(chapterOf(page), two)
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: 'Chapters, written while you watch' }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: 'Chapter one' }).waitFor()
    await page.goForward()
    await page.goForward()
    await page.getByRole('heading', { level: 1, name: 'Chapter two' }).waitFor()
    await waitForSeqs(t, page, url, two)

    await page.goto(`${url}/?chapter=none`)
    await page.locator('#join-error', { hasText: 'whole number' }).waitFor()
    await page.getByLabel('Open a chapter by its number').fill(`#${one}`)
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByRole('heading', { level: 1, name: 'Chapter one' }).waitFor()
  })

  await t.test('a chapter that does not exist yet is waited for', async (t) => {
    const next = (await create(url, 'The one before')) + 1
    const page = await openPage(t, browser, `${url}/?chapter=${next}`)
    await page.getByText(`Chapter ${next} does not exist yet`).waitFor()
    await page.locator('.connection[data-state="live"]').waitFor()
    t.equal(await create(url, 'Here it is'), next)
    await page.getByRole('heading', { level: 1, name: 'Here it is' }).waitFor()
    await waitForSeqs(t, page, url, next)
    t.equal(await page.locator('#chapter-waiting').isVisible(), false)
  })

  for (const bypassCSP of [false, true]) {
    const title = `nothing that an AI wrote runs, loads or leads away unseen${bypassCSP ? ', even without the security policy' : ''}`
    await t.test(title, async (t) => {
      const page = await openPage(t, browser, `${url}/`, { bypassCSP })
      const origins = new Set<string>()
      page.on('request', (request) => origins.add(new URL(request.url()).origin))
      page.on('dialog', (dialog) => t.fail(`a dialog opened: ${dialog.message()}`) && dialog.dismiss())
      const evil = (n: number) =>
        `<img src="https://tracker.invalid/${n}.png" onerror="window.ran=${n}"><script>window.ran=${n}</script>`
      const id = await create(url, `Title ${evil(1)}`, `About ${evil(2)}`)
      await post(`${url}/v1/chapter/${id}/concept-finish`, {
        title: `Concept ${evil(3)}`,
        content: [
          `# Heading ${evil(4)}`,
          '![picture](https://tracker.invalid/pixel.png)',
          '[safe](https://example.invalid/page) [script](javascript:window.ran=5) [data](data:text/html,<script>window.ran=6</script>) <a href="jAvAsCrIpT:window.ran=7">mixed</a> [vb](vbscript:x)',
          '<svg onload="window.ran=8"><a xlink:href="javascript:window.ran=9"><text>x</text></a></svg>',
          '<iframe src="https://tracker.invalid/frame" srcdoc="<script>parent.ran=10</script>"></iframe>',
          '<form action="https://tracker.invalid/form" id="content"><input name="title" autofocus onfocus="window.ran=11"><button>Send</button></form>',
          '<style>body { background: url(https://tracker.invalid/css) }</style><link rel="stylesheet" href="https://tracker.invalid/link.css">',
          '<p style="background: url(https://tracker.invalid/style)" onmouseover="window.ran=12">styled</p>',
          '<video src="https://tracker.invalid/video" autoplay></video><object data="https://tracker.invalid/o"></object>',
          '- [x] done <meta http-equiv="refresh" content="0;url=https://tracker.invalid/"><base href="https://tracker.invalid/">',
          'The end of it.',
          '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.ran=13&gt;">',
        ].join('\n\n'),
      })
      await post(`${url}/v1/chapter/${id}/exercise-finish`, { question: evil(14), answer: evil(15) })
      await post(`${url}/v1/chapter/${id}/quiz-finish`, {
        quizzes: [
          {
            question: evil(16),
            correct_answer: evil(17),
            options: [evil(17), '<b onclick="window.ran=18">b</b>'],
            type: 'multiple',
          },
          { question: evil(19), correct_answer: evil(20), type: 'short' },
        ],
      })
      await page.goto(`${url}/?chapter=${id}`)
      await page.locator('.concept', { hasText: 'The end of it.' }).waitFor()
      await page.locator('.quiz .option').first().click()
      for (const summary of await page.locator('#content summary').all()) await summary.click()
      await page.locator('.verdict.right').waitFor()
      await page.getByRole('link', { name: 'New chapter' }).click()
      await page.locator(`#recent a[data-chapter="${id}"]`).click()
      await page.locator('.concept', { hasText: 'The end of it.' }).waitFor()

      const forbidden =
        'script, img, iframe, form, input, style, link, svg:not(.icon), video, object, math, meta, base, [style], [id="content"] [id="content"]'
      t.equal(await page.locator('#content').locator(forbidden).count(), 0)
      t.equal(
        await page
          .locator('#recent img, #timeline img, #chapter-title img, #chapter-description img')
          .count(),
        0,
      )
      t.match(
        await page.locator('#chapter-title').textContent(),
        '<script>window.ran=1</script>',
        'it is shown as it is',
      )
      t.equal(await page.evaluate('window.ran'), undefined)
      t.same([...origins], [url])
      const links = await page
        .locator('.concept a[href]')
        .evaluateAll((all) =>
          all.map((a) => [a.getAttribute('href'), a.getAttribute('target'), a.getAttribute('rel')]),
        )
      t.same(links, [
        ['https://tracker.invalid/pixel.png', '_blank', 'noopener noreferrer nofollow'],
        ['https://example.invalid/page', '_blank', 'noopener noreferrer nofollow'],
      ])
    })
  }

  await t.test('a kind that fails says why, and is tried again when asked', async (t) => {
    const id = await create(url, 'It fails first')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    await start(url, id, 'concept')
    await fail(url, id, 'concept', { error: '429 Too Many Requests', reason: 'rate_limited' })
    await waitForText(page, '#job-concept .status', 'Trying again')
    await waitForText(page, '#job-concept .facts', 'Attempt 2 of 3')
    await waitForText(page, '#job-concept .tries', 'Attempt 1: the AI is over its rate limit')
    await waitForText(page, '#job-concept .tries', '429 Too Many Requests')
    await finish(url, id, 'exercise')
    await finish(url, id, 'quiz')
    await fail(url, id, 'concept', { error: 'I will not.', reason: 'refused', retryable: false })
    await waitForText(page, '#chapter-status', 'Failed')
    await waitForText(page, '#job-concept .tries', 'Attempt 2: the AI refused')
    await waitForText(page, '.concept .body', 'This part was not written.')
    await page.locator('.exercise', { hasText: 'Swap a and' }).waitFor()
    const bar = page.locator('#whole-bar')
    t.equal(await bar.getAttribute('aria-valuenow'), '66')

    await page.getByRole('button', { name: 'Retry what failed' }).click()
    await waitForText(page, '#chapter-status', 'Being written')
    await finish(url, id, 'concept')
    await waitForText(page, '#chapter-status', 'Complete')
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    await waitForSeqs(t, page, url, id)
  })

  await t.test('a chapter is cancelled after asking once more', async (t) => {
    const id = await create(url, 'Never mind')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`)
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('dialog', { name: 'Stop writing this chapter?' }).waitFor()
    await page.keyboard.press('Escape')
    t.equal(await page.evaluate('document.activeElement.id'), 'cancel', 'the focus is back')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Stop it' }).click()
    await waitForText(page, '#chapter-status', 'Cancelled')
    await waitForText(page, '#job-quiz .status', 'Cancelled')
    await page.locator('#announcer:not(:empty)').waitFor({ state: 'attached' })
    await waitForSeqs(t, page, url, id)
  })

  await t.test('events that overtake the first view of a chapter are not undone by it', async (t) => {
    const id = await create(url, 'Overtaken')
    const page = await openPage(t, browser, `${url}/`)
    const [overtaken, release] = gate()
    let held = 0
    await page.route(`${url}/v1/chapter/${id}`, async (route) => {
      const response = await route.fetch()
      held += 1
      if (held === 1) await overtaken
      await route.fulfill({ response })
    })
    await page.goto(`${url}/?chapter=${id}`)
    await page.locator('#timeline li').nth(3).waitFor()
    for (const kind of KINDS) await finish(url, id, kind)
    await waitForText(page, '#chapter-status', 'Complete')
    await page.evaluate(() => {
      const seen = new Set<string | null>()
      Object.assign(window, { seen })
      const pill = document.querySelector('#chapter-status') as Element
      new MutationObserver(() => seen.add(pill.textContent)).observe(pill, {
        childList: true,
        characterData: true,
        subtree: true,
      })
    })
    release()
    await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
    t.same(await page.evaluate('[...window.seen]'), [], 'not even for a moment')
    t.equal(await page.locator('#chapter-status').textContent(), 'Complete')
    t.equal(await page.locator('#job-concept .status').textContent(), 'Done')
    await waitForSeqs(t, page, url, id)
  })

  await t.test('switching chapters in the middle of everything shows only the last one', async (t) => {
    const slow = await create(url, 'The slow one')
    const quick = await create(url, 'The quick one')
    for (const kind of KINDS) await finish(url, slow, kind)
    const page = await openPage(t, browser, `${url}/`)
    const [switched, release] = gate()
    await page.route(new RegExp(`/v1/chapter/${slow}(/|$)`), async (route) => {
      const response = await route.fetch()
      await switched
      // The page has given up on it by then.
      await route.fulfill({ response }).catch(() => {})
    })
    for (const id of [slow, quick, slow, quick, slow, quick]) {
      await page.evaluate((next) => {
        history.pushState(null, '', `?chapter=${next}`)
        dispatchEvent(new PopStateEvent('popstate'))
      }, id)
    }
    release()
    await page.getByRole('heading', { level: 1, name: 'The quick one' }).waitFor()
    await waitForSeqs(t, page, url, quick)
    await finish(url, quick, 'exercise')
    await waitForText(page, '#job-exercise .status', 'Done')
    await page.locator('.exercise', { hasText: 'Swap a and' }).waitFor()
    t.equal(await page.locator('#chapter-status').textContent(), 'Being written')
    t.equal(await page.locator('.concept h3').count(), 0, 'nothing of the other one is here')
    await waitForSeqs(t, page, url, quick)
  })

  await t.test('the page speaks the reader’s language, and the chapter its own', async (t) => {
    const id = await create(url, '변수와 자료형', 'Python 기초', 'ko')
    const page = await openPage(t, browser, `${url}/?chapter=${id}`, { locale: 'ko-KR' })
    await waitForText(page, '#chapter-status', '만드는 중')
    t.equal(await page.locator('html').getAttribute('lang'), 'ko')
    await page.locator('#timeline li').nth(3).waitFor()
    await page.locator('#chapter-title[lang="ko"]').waitFor()
    const said = await page.locator('#timeline .said').first().textContent()

    await page.getByRole('button', { name: 'English' }).click()
    await waitForText(page, '#chapter-status', 'Being written')
    t.equal(await page.locator('html').getAttribute('lang'), 'en')
    t.equal(await page.locator('#timeline .said').first().textContent(), said, 'what the server said stays')
    t.equal(await page.locator('#timeline .said').first().getAttribute('lang'), 'ko')
    await waitForSeqs(t, page, url, id)
    await page.goto(`${url}/`)
    await page.getByRole('heading', { level: 2, name: 'Create a chapter' }).waitFor()
    t.equal(await page.locator('#locale').inputValue(), 'en')
    t.equal(await page.getByRole('button', { name: 'English' }).getAttribute('aria-pressed'), 'true')
  })

  await t.test('it fits on a phone, whatever is written', async (t) => {
    const page = await openPage(t, browser, `${url}/`, { viewport: { width: 360, height: 740 } })
    await page.locator('#recent li').first().waitFor()
    await page.locator('#more summary').click()
    await page.locator('#curl summary').click()
    t.equal(await overflow(page), 0)
    const id = await create(url, 'Donaudampfschifffahrtsgesellschaftskapitän'.repeat(4), 'x'.repeat(300))
    await post(`${url}/v1/chapter/${id}/concept-finish`, {
      title: 'y'.repeat(200),
      content: `${'z'.repeat(200)}\n\n\`\`\`\n${'code '.repeat(60)}\n\`\`\`\n\n|${' column |'.repeat(20)}\n|${'---|'.repeat(20)}\n|${' cell |'.repeat(20)}\n\n\`${'w'.repeat(200)}\``,
    })
    await post(`${url}/v1/chapter/${id}/exercise-finish`, RESULTS.exercise)
    await post(`${url}/v1/chapter/${id}/quiz-finish`, {
      quizzes: [
        {
          question: 'q'.repeat(200),
          correct_answer: 'o'.repeat(200),
          options: ['o'.repeat(200), 'n'.repeat(200)],
        },
      ],
    })
    await page.goto(`${url}/?chapter=${id}`)
    await page.locator('.option').first().click()
    await page.locator('.concept table').waitFor()
    t.equal(await overflow(page), 0)
    await page.goto(`${url}/?chapter=${id + 1000}`)
    await page.locator('#chapter-waiting').waitFor()
    t.equal(await overflow(page), 0)
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    await t.test(`every text can be read with a ${colorScheme} background`, async (t) => {
      const done = await create(url, 'Finished')
      for (const kind of KINDS) await finish(url, done, kind)
      const failed = await create(url, 'Failed')
      await fail(url, failed, 'concept', { error: 'Empty', reason: 'invalid_result' })
      await fail(url, failed, 'quiz', { error: 'No', reason: 'refused', retryable: false })

      const page = await openPage(t, browser, `${url}/`, { colorScheme, reducedMotion: 'reduce' })
      t.match(
        await page.evaluate('getComputedStyle(document.body).backgroundColor'),
        colorScheme === 'dark' ? 'rgb(20, 22, 29)' : 'rgb(248, 246, 241)',
      )
      await page.locator('#recent li').first().waitFor()
      await page.locator('#more summary').click()
      await page.locator('#create-button').click()
      await page.locator('#create-problem li').first().waitFor()
      t.same(await tooFaint(page), [])
      await page.goto(`${url}/?chapter=${done}`)
      for (const option of [0, 1]) await page.locator('.option').nth(option).click()
      for (const summary of await page.locator('#content summary').all()) await summary.click()
      t.same(await tooFaint(page), [])
      await page.goto(`${url}/?chapter=${failed}`)
      await waitForText(page, '#job-quiz .status', 'Failed')
      t.same(await tooFaint(page), [])
    })
  }

  await t.test('assets are asked for again only when they changed', async (t) => {
    const page = await fetch(`${url}/`)
    t.match(
      page.headers.get('content-security-policy'),
      "default-src 'none'; script-src 'self'; style-src 'self';",
    )
    t.match(page.headers.get('cache-control'), 'no-cache')
    for (const path of [
      '/',
      '/socket_client_example.html',
      '/web/page.js',
      '/web/page.css',
      '/web/vendor/marked.js',
    ]) {
      const first = await fetch(url + path)
      t.equal(first.status, 200, path)
      t.equal(first.headers.get('x-content-type-options'), 'nosniff')
      const etag = first.headers.get('etag') ?? ''
      const again = await fetch(url + path, { headers: { 'if-none-match': etag } })
      t.equal(again.status, 304, path)
    }
    for (const path of ['/web/', '/web/tsconfig.json', '/web/..%2f..%2fpackage.json', '/web/nothing.js']) {
      t.equal((await fetch(url + path)).status, 404, path)
    }
  })

  await t.test(
    'a page whose server restarts says so, and catches up without a gap or a double',
    async (t) => {
      const id = await create(url, 'Through the storm')
      const page = await openPage(t, browser, `${url}/?chapter=${id}`)
      await start(url, id, 'concept')
      await page.locator('#timeline li[data-seq="5"]').waitFor()
      await page.evaluate('window.sameDocument = true')

      await server.restart(async () => {
        await page.locator('#offline').waitFor()
        t.equal(await page.locator('#connection').getAttribute('data-state'), 'reconnecting')
        t.ok(await page.locator('#timeline li').count(), 'what was there stays')
      })
      for (const kind of KINDS) await finish(url, id, kind)

      await page.locator('.connection[data-state="live"]').waitFor()
      await waitForText(page, '#chapter-status', 'Complete')
      await page.getByRole('heading', { level: 3, name: 'What a variable is' }).waitFor()
      await waitForSeqs(t, page, url, id)
      t.equal(await page.locator('#offline').isVisible(), false)
      t.equal(await page.evaluate('window.sameDocument'), true, 'by itself')
    },
  )
}

/** A page in a context of its own. Whatever goes wrong inside fails the test. */
async function openPage(
  t: Test,
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context: BrowserContext = await browser.newContext({ locale: 'en-US', ...options })
  t.teardown(() => context.close())
  context.setDefaultTimeout(20_000)
  // esbuild names functions with it, also those that run in the page.
  await context.addInitScript('globalThis.__name = (value) => value')
  const page = await context.newPage()
  page.on('pageerror', (error) => t.fail(`the page threw ${error.message}`))
  await page.goto(address)
  return page
}

function chapterOf(page: Page): number {
  return Number(new URL(page.url()).searchParams.get('chapter'))
}

/** Waits until the timeline is the whole log, and checks that it has each event once, newest first. */
async function waitForSeqs(t: Test, page: Page, url: string, id: number) {
  const { last_seq: last } = await get<{ last_seq: number }>(`${url}/v1/chapter/${id}`)
  await page.locator(`#timeline li[data-seq="${last}"]`).waitFor()
  const seqs = await page
    .locator('#timeline li')
    .evaluateAll((all) => all.map((li) => Number(li.getAttribute('data-seq'))))
  t.same(
    seqs,
    Array.from({ length: last }, (_, index) => last - index),
    'every event once, in order',
  )
}

async function waitForText(page: Page, selector: string, text: string) {
  await page.locator(selector, { hasText: text }).waitFor()
}

/** A promise, and what lets those pass who wait for it. */
function gate(): [Promise<void>, () => void] {
  let open = () => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return [promise, open]
}

/** Presses Tab until the first element that matches has the focus, as someone without a mouse does. */
async function tabTo(page: Page, selector: string) {
  for (let presses = 0; presses < 100; presses += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`${selector} cannot be reached with Tab`)
}

/** How many pixels the page is wider than the screen. */
function overflow(page: Page): Promise<number> {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth))
}

function duplicateIds(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const ids = [...document.querySelectorAll('[id]')].map((node) => node.id)
    return ids.filter((id, index) => ids.indexOf(id) !== index)
  })
}

/** Texts with less contrast than WCAG 2.2 AA asks for: 4.5:1, and 3:1 when large. */
function tooFaint(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number)
    const luminance = (color: number[]) => {
      const [r = 0, g = 0, b = 0] = color.slice(0, 3).map((channel) => {
        const part = channel / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const backgroundOf = (node: Element | null): number[] => {
      for (let at = node; at !== null; at = at.parentElement) {
        const color = channels(getComputedStyle(at).backgroundColor)
        if (color[3] === undefined || color[3] === 1) return color
      }
      return [255, 255, 255]
    }
    const faint: string[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let text = walker.nextNode(); text !== null; text = walker.nextNode()) {
      const node = text.parentElement
      if (
        node === null ||
        text.textContent?.trim() === '' ||
        !node.checkVisibility({ visibilityProperty: true })
      )
        continue
      const style = getComputedStyle(node)
      const size = Number.parseFloat(style.fontSize)
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
      const [one, other] = [luminance(channels(style.color)), luminance(backgroundOf(node))]
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
      if (ratio < (large ? 3 : 4.5))
        faint.push(`${ratio.toFixed(2)} ${text.textContent?.trim().slice(0, 40)}`)
    }
    return faint
  })
}

// What a client and a worker do.

async function create(url: string, title: string, description = '', locale = 'en'): Promise<number> {
  const body = { course_id: 1, owner_id: 1, title, description, locale }
  return (await post<{ chapter_id: number }>(`${url}/v1/chapter/`, body)).chapter_id
}

function finish(url: string, id: number, kind: Kind) {
  return post(`${url}/v1/chapter/${id}/${kind}-finish`, RESULTS[kind])
}

async function start(url: string, id: number, kind: Kind) {
  return post(`${url}/v1/chapter/${id}/${kind}-start`, await workOf(url, id, kind))
}

async function progress(url: string, id: number, kind: Kind, percent: number) {
  const work = await workOf(url, id, kind)
  return post(`${url}/v1/chapter/${id}/progress`, { ...work, kind, progress: percent, message: 'On it.' })
}

async function fail(url: string, id: number, kind: Kind, failure: object) {
  return post(`${url}/v1/chapter/${id}/${kind}-fail`, { ...(await workOf(url, id, kind)), ...failure })
}

async function workOf(url: string, id: number, kind: Kind) {
  interface View {
    jobs: { kind: Kind; job_id: string; attempt: number }[]
  }
  const job = (await get<View>(`${url}/v1/chapter/${id}`)).jobs.find((each) => each.kind === kind)
  if (job === undefined) throw new Error(`chapter ${id} has no ${kind}`)
  return { job_id: job.job_id, attempt: job.attempt }
}

function get<T>(address: string): Promise<T> {
  return answerOf(fetch(address))
}

function post<T = unknown>(address: string, body: object): Promise<T> {
  const headers = { 'content-type': 'application/json' }
  return answerOf(fetch(address, { method: 'POST', headers, body: JSON.stringify(body) }))
}

async function answerOf<T>(request: Promise<Response>): Promise<T> {
  const response = await request
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`)
  return JSON.parse(text)
}
