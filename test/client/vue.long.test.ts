import t from 'tap'
import { withBrowser } from '../support/chromium.js'
import { testAdapterInTrouble } from './adapter-tests.js'

await withBrowser(t, (browser) => testAdapterInTrouble(t, browser, 'vue-page.ts'))
