/**
 * Patterns over AS paths, as people write them: regular expressions whose letters are AS numbers. The whole path has to
 * match, from the neighbour's AS to the origin's.
 *
 *   65002              this AS                      .             any AS
 *   64512-65534        an AS in between             a b           one behind the other
 *   a | b              either                       (a b)         together
 *   a* a+ a?           any times, once or more, at most once
 *   a{2} a{2,} a{2,4}  so many times
 *
 * `65002 .*` is what came over 65002, `.* 65010` what began there, `.{1,3}` what is at most three away, `65002+` what is
 * of 65002 itself. `^` and `$` may stand at the ends, where they say what is so anyway. An AS_SET is one step of the path,
 * which each of its members matches; a confederation's segments are not looked at (as in a path's length).
 */

export type PathPattern =
  | { readonly kind: 'as'; readonly from: number; readonly to: number }
  | { readonly kind: 'sequence'; readonly parts: readonly PathPattern[] }
  | { readonly kind: 'choice'; readonly parts: readonly PathPattern[] }
  /** `to` is Infinity where there is no end. */
  | { readonly kind: 'repeat'; readonly part: PathPattern; readonly from: number; readonly to: number }

/**
 * AS numbers in a pattern, with those that are there several times for `{2,4}`. A matcher keeps a bit for each in two
 * words, so a step of the path costs at most as many tests, and the longest path that fits a message, 16 K of them, 1 M.
 */
export const PATTERN_STEPS_MAX = 64
const PATTERN_LENGTH_MAX = 1024
const AS_MAX = 0xffff_ffff

class Complaint extends Error {}

/** The pattern, or what is wrong with it. */
export function parsePathPattern(text: string): PathPattern | string {
  if (text.length > PATTERN_LENGTH_MAX) return `a pattern has at most ${PATTERN_LENGTH_MAX} characters`
  try {
    const pattern = new PatternParser(text).whole()
    const steps = stepsOf(pattern)
    if (steps > PATTERN_STEPS_MAX) return `the pattern stands for ${steps} steps; it may have ${PATTERN_STEPS_MAX}`
    return pattern
  } catch (error) {
    if (error instanceof Complaint) return error.message
    throw error
  }
}

function stepsOf(pattern: PathPattern): number {
  if (pattern.kind === 'as') return 1
  // An empty one counts too: repeated often enough it would still cost.
  if (pattern.kind !== 'repeat')
    return Math.max(
      1,
      pattern.parts.reduce((sum, part) => sum + stepsOf(part), 0),
    )
  const times = pattern.to === Number.POSITIVE_INFINITY ? pattern.from + 1 : pattern.to
  return times * stepsOf(pattern.part)
}

const TOKEN = /\s*(\d+|[-.|()*+?]|\{\d+(?:,\d*)?\}|\S)/y

class PatternParser {
  readonly #tokens: string[] = []
  #at = 0

  constructor(text: string) {
    const inner = text.trim().replace(/^\^/, '').replace(/\$$/, '').trimEnd()
    TOKEN.lastIndex = 0
    for (let found = TOKEN.exec(inner); found; found = TOKEN.exec(inner)) this.#tokens.push(found[1]!)
  }

  whole(): PathPattern {
    const pattern = this.#choice()
    if (this.#at < this.#tokens.length) this.#fail()
    return pattern
  }

  #choice(): PathPattern {
    const parts = [this.#sequence()]
    while (this.#take('|')) parts.push(this.#sequence())
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts }
  }

  #sequence(): PathPattern {
    const parts: PathPattern[] = []
    for (;;) {
      const next = this.#tokens[this.#at]
      if (next === undefined || next === '|' || next === ')') break
      parts.push(this.#repeated())
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts }
  }

  #repeated(): PathPattern {
    let part = this.#single()
    for (;;) {
      const sign = this.#tokens[this.#at]
      const times = sign === undefined ? undefined : timesOf(sign)
      if (times === undefined) return part
      this.#at++
      if (times.from > times.to) throw new Complaint(`${sign} ends before it begins`)
      part = { kind: 'repeat', part, ...times }
    }
  }

  #single(): PathPattern {
    if (this.#take('.')) return { kind: 'as', from: 0, to: AS_MAX }
    if (this.#take('(')) {
      const inner = this.#choice()
      if (!this.#take(')')) throw new Complaint('a ( has no )')
      return inner
    }
    const from = this.#number()
    const to = this.#take('-') ? this.#number() : from
    if (from > to) throw new Complaint(`${from}-${to} ends before it begins`)
    return { kind: 'as', from, to }
  }

  #number(): number {
    const token = this.#tokens[this.#at] ?? ''
    if (!/^\d+$/.test(token)) this.#fail()
    const number = Number(token)
    if (number > AS_MAX) throw new Complaint(`${token} is above the largest AS number, ${AS_MAX}`)
    this.#at++
    return number
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false
    this.#at++
    return true
  }

  #fail(): never {
    const token = this.#tokens[this.#at]
    throw new Complaint(token === undefined ? 'the pattern ends too early' : `${JSON.stringify(token)} is not expected`)
  }
}

function timesOf(sign: string): { from: number; to: number } | undefined {
  if (sign === '*') return { from: 0, to: Number.POSITIVE_INFINITY }
  if (sign === '+') return { from: 1, to: Number.POSITIVE_INFINITY }
  if (sign === '?') return { from: 0, to: 1 }
  const [, from, comma, to] = /^\{(\d+)(,?)(\d*)\}$/.exec(sign) ?? []
  if (from === undefined) return undefined
  if (comma === '') return { from: Number(from), to: Number(from) }
  return { from: Number(from), to: to === '' ? Number.POSITIVE_INFINITY : Number(to) }
}
