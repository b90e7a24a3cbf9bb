/**
 * Our own source files as text, and what can be read off them without a compiler: who imports whom, and how long
 * functions are. It relies on the code being formatted by Biome, so that an import begins its line and a closing brace
 * stands below what it closes. docs/decisions/0001-own-arrow-test.md says why there is no tool for this.
 */

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

export interface Source {
  /** From the root of the repository, such as src/base/clock.ts. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
}

const ROOT = resolve(import.meta.dirname, '..')

export function readSources(): Source[] {
  return globSync('{src,lab,bench,test}/**/*.ts', { cwd: ROOT })
    .filter((path) => !path.includes('node_modules'))
    .sort()
    .map((path) => sourceOf(path, readFileSync(join(ROOT, path), 'utf8')))
}

export function sourceOf(path: string, text: string): Source {
  return { path, text, lines: text.split('\n') }
}

// `import ... from 'x'`, `export ... from 'x'` and the end of those over several lines; `import 'x'`; `import('x')`,
// also in types; `new URL('x', import.meta.url)`, which is how a worker's file is named.
const IMPORTS = [
  /^(?:import|export|\})[^'\n]*\bfrom '([^']+)'/gm,
  /^import '([^']+)'/gm,
  /\bimport\(\s*'([^']+)'/g,
  /\bnew URL\(\s*'([^']+)',\s*import\.meta\.url/g,
]

/** What a file imports: our own files by their path from the root, packages by their name as written. */
export function importsOf(source: Source): string[] {
  return IMPORTS.flatMap((pattern) => Array.from(source.text.matchAll(pattern), (match) => match[1]!)).map((name) =>
    name.startsWith('.') ? join(dirname(source.path), name) : name,
  )
}

export interface FunctionLength {
  readonly line: number
  readonly lines: number
}

// A line that opens a function's body: `=> {`, `function name(...) {`, `method(...): Type {`, or the last line of any
// of them when its parameters stand on lines of their own.
const OPENS = /=> \{$|\bfunction\b.*\{$|^\s*\)(: .+)? \{$|^\s*[\w#[\].'* ]+(<.+>)?\(.*\)(: .+)? \{$/
// A suite's callback is a list of tests, read one by one.
const NO_FUNCTION = /^\s*(\} )?(else )?(if|for|while|switch|catch|with|suite|describe)\b/

export function functionLengths(source: Source): FunctionLength[] {
  const found: FunctionLength[] = []
  for (const [i, line] of source.lines.entries()) {
    if (!OPENS.test(line) || NO_FUNCTION.test(line)) continue
    const indent = /^ */.exec(line)![0]
    const close = source.lines.findIndex((later, at) => at > i && later.startsWith(`${indent}}`))
    if (close > 0) found.push({ line: i + 1, lines: close - i + 1 })
  }
  return found
}
