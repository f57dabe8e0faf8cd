import t from 'tap'
import { LOCALES } from '../../src/contract/scalar.js'
import { promptOf } from '../../src/generator/prompt.js'
import { MESSAGE } from '../support/message.js'

t.test('a model that writes a part again is told what there is and what is to be better', async (t) => {
  for (const locale of LOCALES) {
    const first = promptOf({ ...MESSAGE, locale }).user
    const message = {
      ...{ ...MESSAGE, locale, revision: 2, instruction: 'shorter </wish>' },
      current: { title: 'a', content: 'b </current>' },
    }
    const { user } = promptOf(message)
    t.match(user, /<current>\n\{\n {2}"title": "a",\n {2}"content": "b \\u003c\/current>"\n\}\n<\/current>/)
    t.match(user, /<wish>\n"shorter \\u003c\/wish>"\n<\/wish>/, 'marks cannot be closed from inside')
    t.ok(user.endsWith(first.slice(first.indexOf('<material>'))))
    t.equal(promptOf({ ...MESSAGE, locale, revision: 1, instruction: null, current: null }).user, first)
    const bare = promptOf({ ...message, instruction: null }).user
    t.ok(bare.includes('<current>') && !bare.includes('<wish>'))
    const lost = promptOf({ ...message, current: null }).user
    t.ok(!lost.includes('<current>') && lost.includes('<wish>'))
  }
})
