/** Modules that the server provides under another name; see `src/http/page.ts`. */
declare module '*/vendor/marked.js' {
  export * from 'marked'
}
declare module '*/vendor/purify.js' {
  import DOMPurify from 'dompurify'

  export default DOMPurify
}
