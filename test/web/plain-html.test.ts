/**
 * HTML in what an AI wrote cannot hide how much a browser would have to make of it.
 */
import t from 'tap'

/** As browsers load it: it is no part of the compiled program. */
const { isBounded, plainHtml } = (await import(
  new URL('../../src/web/plain-html.js', import.meta.url).href
)) as { isBounded(html: string): boolean; plainHtml(html: string): string }

/** Open marks that hide how many they are, and blocks in each of which a browser opens them again. */
const hidden = (mark: (n: number) => string) =>
  `${Array.from({ length: 2500 }, (_, n) => mark(n)).join('')}${'<p>x</p>'.repeat(2000)}`

const TOO_MUCH: Record<string, string> = {
  'marks that nothing ends': '<b>'.repeat(5000),
  'marks that nothing ends, behind ends that fit nothing': hidden((n) => `<b title="${n}"></x>`),
  'marks that nothing ends, behind ends of others': hidden((n) => `<b title="${n}"></p></i>`),
  'marks that nothing ends, with ends in their attributes': hidden((n) => `<b title='${n}</b>'>`),
  'marks that nothing ends, with ends in other attributes': hidden((n) => `<b title=${n} class="</b>">`),
  'marks that nothing ends, with ends in comments': hidden((n) => `<b title="${n}"><!-- </b> -->`),
  'marks that nothing ends, with ends in scripts': hidden((n) => `<b title="${n}"><script></b></script>`),
  'tables in tables': '<table><tr><td>'.repeat(2000),
  'a table without ends': `<table>${'<tr><td>x'.repeat(4000)}`,
  'many elements': '<br>'.repeat(6000),
  'marks around many blocks': `${'<i>'.repeat(50)}${'<p>x</p>'.repeat(500)}`,
}
for (const [name, html] of Object.entries(TOO_MUCH))
  t.test(`${name} are shown as text`, async (t) => t.notOk(isBounded(plainHtml(html))))

t.test('HTML as people write it is kept, with ends left out where HTML allows that', async (t) => {
  const kept = [
    'H<sub>2</sub>O and <kbd>Ctrl</kbd>',
    `<ul>${'<li>one<li>two'.repeat(50)}</ul>`,
    `<table>${'<tr><td align="left">a<td>b'.repeat(100)}</table>`,
    '<p>one<p>two'.repeat(100),
    '<a href="https://a.example/?b=1&amp;c=2" title="a">link</a>',
  ]
  for (const html of kept) {
    t.equal(plainHtml(html), html)
    t.ok(isBounded(html), html.slice(0, 40))
  }
})

t.test('HTML beyond the allowed tags is shown as text, or left out', async (t) => {
  t.equal(plainHtml('<img src=x onerror=alert(1)>a'), 'a')
  t.equal(plainHtml('<b onclick="x" title="&lt;">a</b>'), '<b title="&lt;">a</b>')
  t.equal(plainHtml('a<script>alert("<b>")</script>b'), 'ab')
  t.equal(plainHtml('<!-- <b> -->c'), 'c')
  t.equal(plainHtml('1 < 2 <b "> <'), '1 &lt; 2 &lt;b "> &lt;')
  t.equal(plainHtml(`<a href='x"><b>'>`), '<a href="x&quot;>&lt;b>">')
})
