/**
 * What an AI wrote, as the page shows it: harmless.
 */
import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { becomes, openPage } from './browser.js'
import { create, post, startServer } from './worker.js'

await withBrowser(t, async (browser) => {
  const { url } = await startServer(t)

  for (const bypassCSP of [false, true]) {
    const title = `nothing that an AI wrote runs, loads or leads away unseen${bypassCSP ? ', even without the security policy' : ''}`
    await t.test(title, async (t) => {
      const page = await openPage(t, browser, `${url}/`, { bypassCSP, isSuspect: true })
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
      await page.locator('.quiz .option').filter({ hasText: 'tracker.invalid/17.png' }).click()
      await page.locator('.quiz').getByRole('button', { name: 'Show the answer' }).click()
      for (const summary of await page.locator('#content .answer summary').all()) await summary.click()
      await page.locator('.verdict.right').waitFor()
      await page.getByRole('link', { name: 'New chapter' }).click()
      await page.locator(`#recent a[data-chapter="${id}"]`).click()
      await page.locator('.concept', { hasText: 'The end of it.' }).waitFor()

      const forbidden =
        'script, img, iframe, form:not(.typed, .again), input:not(.typed input), style, link, svg:not(.icon), video, object, math, meta, base, [style], [id="content"] [id="content"]'
      await becomes(t, () => page.locator('#content').locator(forbidden).count(), 0)
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
})
