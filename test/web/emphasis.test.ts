/**
 * Emphasis in Korean text, where a particle follows a word without a space.
 */
import { Marked, type MarkedExtension } from 'marked'
import t from 'tap'

/** As browsers load it: it is no part of the compiled program. */
const { emphasis } = (await import(new URL('../../src/web/emphasis.js', import.meta.url).href)) as {
  emphasis: MarkedExtension
}
const markdown = new Marked(emphasis)
const plain = new Marked()
const html = (text: string) => markdown.parseInline(text, { async: false })

t.test('a particle after emphasis that ends with a mark leaves no asterisks to the reader', async (t) => {
  const texts: [source: string, html: string][] = [
    ['**변수(variable)**는 이름이다', '<strong>변수(variable)</strong>는 이름이다'],
    ['이것은 **`int`**입니다', '이것은 <strong><code>int</code></strong>입니다'],
    [
      '**"문자열"**과 **"정수"**를',
      '<strong>&quot;문자열&quot;</strong>과 <strong>&quot;정수&quot;</strong>를',
    ],
    ['이름은**(중요)**하다', '이름은<strong>(중요)</strong>하다'],
    ['*강조(점)*은 ***둘(다)***를', '<em>강조(점)</em>은 <em><strong>둘(다)</strong></em>를'],
    ['~~취소(선)~~는', '<del>취소(선)</del>는'],
    ['**「変数」**は**，**重要', '<strong>「変数」</strong>は<strong>，</strong>重要'],
  ]
  for (const [source, wanted] of texts) t.equal(html(source), wanted)
})

t.test('every other text is read as before', async (t) => {
  for (const text of [
    '**굵게**는 *기울여* 쓰고, **굵게**abc, abc**굵게**, 가**나**다',
    '변수_이름_값, snake_case(가)_이다_',
    '반지름*2 + 높이 * 3 * 4, 2**3**4',
    '**"word"**s and a**(b)**c',
    '\\*가\\*(나) `**가(나)**는`',
    '**끝이 없는 글(하나',
    '5 * (가) * 나',
  ])
    t.equal(html(text), plain.parseInline(text, { async: false }), text)
})
