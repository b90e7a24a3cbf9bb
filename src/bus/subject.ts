/**
 * Subjects, patterns and names, as NATS spells them, and the tree that finds the patterns that a subject matches. A
 * subject is tokens joined by dots. In a pattern `*` stands for one token and a `>` at the end for one or more.
 */

import { BusError } from './bus.ts'

/** Long enough for every name of ours, short enough that a tree of patterns stays shallow. */
const SUBJECT_BYTES_MAX = 255

const SUBJECT = /^[!-)+-\-/-=?-~]+(\.[!-)+-\-/-=?-~]+)*$/
const PATTERN = /^(>|(\*|[!-)+-\-/-=?-~]+)(\.(\*|[!-)+-\-/-=?-~]+))*(\.>)?)$/
const KEY = /^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$/
const NAME = /^[-_a-zA-Z0-9]{1,64}$/

export type NameKind = 'subject' | 'pattern' | 'key' | 'name'

const forms: Record<NameKind, RegExp> = { subject: SUBJECT, pattern: PATTERN, key: KEY, name: NAME }

export function isWellFormed(kind: NameKind, text: string): boolean {
  return text.length <= SUBJECT_BYTES_MAX && forms[kind].test(text)
}

/** Throws 'bad-name'. */
export function checkName(kind: NameKind, text: string): void {
  if (!isWellFormed(kind, text)) throw new BusError('bad-name', `${JSON.stringify(text)} is not a ${kind}`)
}

export function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.')
  const tokens = subject.split('.')
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '>') return tokens.length > i
    if (i >= tokens.length || (wanted[i] !== '*' && wanted[i] !== tokens[i])) return false
  }
  return wanted.length === tokens.length
}

interface Node<T> {
  readonly children: Map<string, Node<T>>
  readonly here: Set<T>
}

const fresh = <T>(): Node<T> => ({ children: new Map(), here: new Set() })

/** Patterns with what stands behind them. Finding costs the subject's tokens, not the number of patterns. */
export class SubjectTree<T> {
  readonly #root: Node<T> = fresh()

  add(pattern: string, value: T): void {
    let node = this.#root
    for (const token of pattern.split('.')) {
      const child = node.children.get(token) ?? fresh()
      node.children.set(token, child)
      node = child
    }
    node.here.add(value)
  }

  remove(pattern: string, value: T): void {
    removeBelow(this.#root, pattern.split('.'), 0, value)
  }

  /** Calls `visit` for everything whose pattern matches, each once. */
  find(subject: string, visit: (value: T) => void): void {
    findBelow(this.#root, subject.split('.'), 0, visit)
  }
}

function findBelow<T>(node: Node<T>, tokens: string[], depth: number, visit: (value: T) => void): void {
  if (depth === tokens.length) {
    for (const value of node.here) visit(value)
    return
  }
  const rest = node.children.get('>')
  if (rest) for (const value of rest.here) visit(value)
  const exact = node.children.get(tokens[depth]!)
  if (exact) findBelow(exact, tokens, depth + 1, visit)
  const any = node.children.get('*')
  if (any) findBelow(any, tokens, depth + 1, visit)
}

function removeBelow<T>(node: Node<T>, tokens: string[], depth: number, value: T): void {
  if (depth === tokens.length) {
    node.here.delete(value)
    return
  }
  const child = node.children.get(tokens[depth]!)
  if (!child) return
  removeBelow(child, tokens, depth + 1, value)
  if (child.here.size === 0 && child.children.size === 0) node.children.delete(tokens[depth]!)
}
