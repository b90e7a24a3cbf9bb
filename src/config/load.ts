/**
 * From a file to a site, or to all that is wrong with it: syntax, schema, and what does not fit together. Other files of
 * ours are read the same way.
 */

import { readFileSync, statSync } from 'node:fs'
import { LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { checkSite } from './check.ts'
import { ALIASES_MAX, ERRORS_MAX, SITE_BYTES_MAX } from './limits.ts'
import { type Loose, readLoosely } from './loose.ts'
import { type Finding, Positions, type SiteError } from './position.ts'
import { describe, findingsOf } from './schema-error.ts'
import { type Site, site } from './site.ts'

export type Loaded =
  | { readonly site: Site; readonly errors?: never }
  /** In the order of the file, and never empty. */
  | { readonly errors: readonly SiteError[]; readonly site?: never }

/** Does not throw: a file that cannot be read is an error at line 1. */
export function loadSite(path: string): Loaded {
  const read = readText(path)
  return read.errors ? read : parseSite(read.text)
}

/** YAML, of which JSON is a part. */
export function parseSite(text: string): Loaded {
  const { value, errors } = parseAs(text, site, checkSite)
  return errors ? { errors } : { site: value }
}

export type Parsed<T> =
  | { readonly value: T; readonly errors?: never }
  | { readonly errors: readonly SiteError[]; readonly value?: never }

/** What the file means by the schema, and by the checks of what that does not see. Does not throw either. */
export function loadAs<S extends z.ZodType>(
  path: string,
  schema: S,
  check: (value: Loose<z.output<S>>) => Finding[],
): Parsed<z.output<S>> {
  const read = readText(path)
  return read.errors ? read : parseAs(read.text, schema, check)
}

type Text =
  | { readonly text: string; readonly errors?: never }
  | { readonly errors: readonly SiteError[]; readonly text?: never }

function readText(path: string): Text {
  try {
    const { size } = statSync(path)
    if (size > SITE_BYTES_MAX) return wrong(`the file has ${size} bytes; ${SITE_BYTES_MAX} is the most that is read`)
    return { text: readFileSync(path, 'utf8') }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return wrong(code === 'ENOENT' ? 'there is no such file' : String((error as Error).message))
  }
}

function wrong(message: string): { readonly errors: readonly SiteError[] } {
  return { errors: [{ line: 1, column: 1, path: '', message }] }
}

export function parseAs<S extends z.ZodType>(
  text: string,
  schema: S,
  check: (value: Loose<z.output<S>>) => Finding[],
): Parsed<z.output<S>> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const positions = new Positions(document, lines)
  if (document.errors.length > 0) {
    return { errors: document.errors.map(({ pos, message }) => positions.at(pos[0], '', firstSentence(message))) }
  }
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX })
  } catch (error) {
    return wrong((error as Error).message)
  }
  const parsed = schema.safeParse(value, { error: describe })
  const findings = parsed.success
    ? check(parsed.data as Loose<z.output<S>>)
    : [...findingsOf(schema, parsed.error.issues, value), ...check(readLoosely(schema, value))]
  if (findings.length > 0) return { errors: inOrder(findings, positions) }
  return { value: parsed.data! }
}

/** Not all of very many: the last one says how many more there are, from where on. */
function inOrder(findings: readonly Finding[], positions: Positions): SiteError[] {
  const errors = findings.map((finding) => positions.locate(finding))
  errors.sort((a, b) => a.line - b.line || a.column - b.column)
  const next = errors[ERRORS_MAX]
  if (!next) return errors
  const rest = { ...next, path: '', message: `and ${errors.length - ERRORS_MAX} more errors from here on` }
  return [...errors.slice(0, ERRORS_MAX), rest]
}

function firstSentence(message: string): string {
  return message.split('\n')[0]!
}
