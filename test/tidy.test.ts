/**
 * The rules of the house, held. The first is the drawing of the folders: what stands further down may import what
 * stands above it, and what stands beside it never.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { suite, test } from 'node:test'
import { functionLengths, importsOf, readSources, type Source, sourceOf } from './sources.ts'

// biome-ignore format: it is a drawing
const HOUSE = [
  ['src/base'],
  ['src/wire', 'src/config', 'src/linux', 'src/bus'],
  ['src/dataplane', 'src/agent', 'src/supervisor'],
  ['src/bfd'],
  ['src/state'],
  ['src/functions'],
  ['src/access', 'src/forwarding', 'src/routing', 'src/control', 'src/orchestrator', 'src/verifier'],
  ['src/api'],
  ['src/commands'],
  ['lab'],
  ['bench', 'test'],
] as const

/** Only these folders may import the package. */
const RESERVED: Readonly<Record<string, string>> = { koffi: 'src/linux' }

const FILE_LINES_MAX = 600
const FUNCTION_LINES_MAX = 80
/** The formatter breaks code at 120 and leaves comments alone. */
const COMMENT_COLUMNS_MAX = 130

const ROOT = resolve(import.meta.dirname, '..')
const sources = readSources()

function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`)
}

/** The folder of the drawing that a path lies in, and its floor. */
function roomOf(path: string): { floor: number; room: string } | undefined {
  // The command tree and its commands are one room: `up` runs the tree again, once a module.
  if (/^src\/main(\.test)?\.ts$/.test(path)) return roomOf('src/commands')
  for (const [floor, rooms] of HOUSE.entries()) {
    const room = rooms.find((name) => isIn(path, name))
    if (room) return { floor, room }
  }
  return undefined
}

function forbiddenImports(source: Source): string[] {
  const from = roomOf(source.path)
  if (!from) return [`${source.path} lies in no folder of the drawing`]
  return importsOf(source).flatMap((name) => {
    const home = RESERVED[name]
    if (home && !isIn(source.path, home)) return [`${source.path} imports ${name}, which only ${home} may`]
    const to = roomOf(name)
    if (!to || to.room === from.room || to.floor < from.floor) return []
    return [`${source.path} imports ${name}`]
  })
}

/** `path:line` of every line that matches. */
function linesWith(pattern: RegExp, among: readonly Source[]): string[] {
  return among.flatMap((source) =>
    source.lines.flatMap((line, i) => (pattern.test(line) ? [`${source.path}:${i + 1} ${line.trim()}`] : [])),
  )
}

const isTest = (path: string): boolean => /\.(test|test-worker|fuzz|bench|long)\.ts$/.test(path)

suite('the code is tidy', () => {
  test('arrows between folders point one way', () => {
    deepEqual(sources.flatMap(forbiddenImports), [])
  })

  test('a file is read in one sitting and a function fits on a screen', () => {
    const long = sources.filter((source) => source.lines.length > FILE_LINES_MAX)
    deepEqual(
      long.map((source) => `${source.path} has ${source.lines.length} lines`),
      [],
    )
    const tall = sources.flatMap((source) =>
      functionLengths(source)
        .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
        .map(({ line, lines }) => `${source.path}:${line} has ${lines} lines`),
    )
    deepEqual(tall, [])
  })

  test('a comment is no wider than a page', () => {
    const comment = new RegExp(`^(?=.{${COMMENT_COLUMNS_MAX + 1}})\\s*(//|/?\\*)`)
    deepEqual(linesWith(comment, sources), [])
  })

  test('a file opens with what it is', () => {
    const bare = sources.filter(
      (source) => !isTest(source.path) && !source.text.replace(/^#!.*\n/, '').startsWith('/**'),
    )
    deepEqual(
      bare.map((source) => source.path),
      [],
    )
  })

  test('time and randomness are handed in', () => {
    const handedIn = sources.filter(({ path }) => isIn(path, 'src') && !isIn(path, 'src/base') && !isTest(path))
    const reads = /\b(Date\.now|new Date\(\)|performance\.now|process\.hrtime|Math\.random|setTimeout|setInterval)\b/
    const comment = /^\s*(\*|\/\/|\/\*)/
    deepEqual(
      linesWith(reads, handedIn).filter((found) => !comment.test(found.slice(found.indexOf(' ') + 1))),
      [],
    )
  })

  test('names are in kebab-case and say something', () => {
    const names = sources.map(({ path }) => path)
    const kebab = /^([a-z0-9]+(-[a-z0-9]+)*\/)+[a-z0-9]+(-[a-z0-9]+)*(\.(test|test-worker|fuzz|bench|long))?\.ts$/
    deepEqual(
      names.filter((path) => !kebab.test(path)),
      [],
    )
    const says_nothing = /^(utils?|helpers?|common|misc)$/
    deepEqual(
      names.filter((path) => path.split('/').some((part) => says_nothing.test(basename(part, '.ts')))),
      [],
    )
  })

  test('nothing is left for later', () => {
    deepEqual(linesWith(new RegExp(['TO', 'DO|FIX', 'ME|X', 'XX'].join('')), sources), [])
  })

  test('a package is asked for by one exact version', () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
      readFileSync(resolve(ROOT, 'package.json'), 'utf8'),
    )
    const wanted = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    deepEqual(
      wanted.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version))),
      [],
    )
  })

  test('what the documents link to in the checkout is there', () => {
    const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT })
    deepEqual(
      documents.flatMap((path) => deadLinks(path, readFileSync(resolve(ROOT, path), 'utf8'))),
      [],
    )
  })

  for (const example of globSync('examples/*.yaml', { cwd: ROOT }).sort())
    test(`${example} is right`, () => checks(example))

  test("the README's site file is right", () => {
    const [, site] = /```yaml\n(.*?)```/s.exec(readFileSync(resolve(ROOT, 'README.md'), 'utf8')) ?? []
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-readme-'))
    try {
      writeFileSync(join(folder, 'site.yaml'), site ?? '')
      checks(join(folder, 'site.yaml'))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

/** Links to files that are not there, of a document at that path. Those to other hosts and within it are not looked at. */
function deadLinks(path: string, text: string): string[] {
  return Array.from(text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g), (match) => match[1]!)
    .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(resolve(ROOT, dirname(path), target)))
    .map((target) => `${path} links to ${target}`)
}

function checks(site: string): void {
  const args = ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'check', site]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
  equal(status, 0, stdout + stderr)
}

suite('the rules see what they are to see', () => {
  test('a link that leads nowhere', () => {
    const text = '[a](../README.md#title) [b](nowhere.md) [c](https://example.com/d) [e](#here) ![f](decisions)'
    deepEqual(deadLinks('docs/x.md', text), ['docs/x.md links to nowhere.md'])
  })

  test('every way to import a file', () => {
    const source = sourceOf(
      'src/bus/bus.ts',
      [
        "import { a } from '../base/a.ts'",
        'import type {',
        '  B,',
        "} from './b.ts'",
        "import '../../lab/c.ts'",
        "export { d } from './d.ts'",
        "const e = await import('./e.ts')",
        "const f = new Worker(new URL('../linux/f.ts', import.meta.url))",
        "import koffi from 'koffi'",
      ].join('\n'),
    )
    deepEqual(importsOf(source).sort(), [
      'koffi',
      'lab/c.ts',
      'src/base/a.ts',
      'src/bus/b.ts',
      'src/bus/d.ts',
      'src/bus/e.ts',
      'src/linux/f.ts',
    ])
    equal(forbiddenImports(source).length, 3)
  })

  test('the length of every kind of function', () => {
    const body = ['  one()', '  two()']
    const functions = [
      ['function plain(a: number): void {', ...body, '}'],
      ['export async function* wide(', '  a: number,', '): AsyncIterable<number> {', ...body, '}'],
      ['const arrow = (a: number): void => {', ...body, '}'],
      ['  #method<T>(a: T): Map<string, T> {', ...body, '  }'],
    ]
    for (const lines of functions)
      deepEqual(
        functionLengths(sourceOf('a.ts', lines.join('\n'))).map((found) => found.lines),
        [4],
        lines[0],
      )
    deepEqual(functionLengths(sourceOf('a.ts', ['  if (a(b)) {', ...body, '  }'].join('\n'))), [])
  })
})
