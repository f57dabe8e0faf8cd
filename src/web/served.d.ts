/** Modules that the server provides under another name; see `src/http/page.ts`. */
declare module '*/vendor/marked.js' {
  export * from 'marked'
}
declare module '*/vendor/purify.js' {
  import DOMPurify from 'dompurify'

  export default DOMPurify
}
declare module '*/vendor/katex.js' {
  import katex from 'katex'

  export default katex
}
declare module '*/vendor/highlight.js' {
  /** As much of it as the page uses; the package has no types. */
  const highlighter: {
    getLanguage(name: string): object | undefined
    highlight(code: string, options: { language: string; ignoreIllegals: boolean }): { value: string }
  }

  export default highlighter
}
