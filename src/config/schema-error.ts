/** zod's issues as sentences about the site file. */

import { z } from 'zod'
import { unwrapped } from './loose.ts'
import type { Finding, Path } from './position.ts'
import { suggest } from './suggestion.ts'

type Issue = z.core.$ZodIssue
type RawIssue = z.core.$ZodRawIssue

/** Handed to `safeParse`: for what the schema itself has no sentence for. */
export function describe(issue: RawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return 'is missing'
    return `expected ${nouns[issue.expected as string] ?? issue.expected}, found ${kindOf(issue.input)}`
  }
  if (issue.code === 'invalid_value') {
    if (issue.input === undefined) return 'is missing'
    const values = issue.values as readonly string[]
    const wrong = typeof issue.input === 'string' ? suggest(issue.input, values) : ''
    return `${JSON.stringify(issue.input)} is none of ${values.join(', ')}${wrong}`
  }
  return undefined
}

const nouns: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  return typeof value === 'string' ? `the text ${JSON.stringify(value)}` : String(value)
}

export function findingsOf(schema: z.ZodType, issues: readonly Issue[], value: unknown): Finding[] {
  return issues.flatMap((issue) => flatten(schema, issue, [], value))
}

function flatten(schema: z.ZodType, issue: Issue, base: Path, value: unknown): Finding[] {
  const path = [...base, ...(issue.path as (string | number)[])]
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, path)
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `unknown key ${JSON.stringify(key)}${suggest(key, known)}`,
      atKey: true,
    }))
  }
  if (issue.code !== 'invalid_union') return [{ path, message: issue.message }]
  const found = path.reduce<unknown>((at, step) => (at as Record<string | number, unknown> | undefined)?.[step], value)
  if (found === undefined) return [{ path, message: 'is missing' }]
  // The branch that has the shape that was written: all others refuse it as a whole.
  const branch = issue.errors.find((errors) => !errors.some(isWrongShape)) ?? issue.errors[0] ?? []
  return branch.flatMap((inner) => flatten(schema, inner, path, value))
}

function isWrongShape(issue: Issue): boolean {
  return issue.code === 'invalid_type' && issue.path.length === 0
}

/** The keys that a map at this place may have. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let options = branches(schema)
  for (const step of path) {
    options = options.flatMap((option) => {
      if (option instanceof z.ZodObject) return branches(option.shape[step] as z.ZodType | undefined)
      return option instanceof z.ZodArray ? branches(option.element as z.ZodType) : []
    })
  }
  return options.flatMap((option) => (option instanceof z.ZodObject ? Object.keys(option.shape) : []))
}

function branches(schema: z.ZodType | undefined): z.ZodType[] {
  if (!schema) return []
  const inner = unwrapped(schema)
  return inner instanceof z.ZodUnion ? inner.options.flatMap((option) => branches(option as z.ZodType)) : [inner]
}
