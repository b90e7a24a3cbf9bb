/** Where in a YAML file a value stands, and how its path is written: `tenants[0].vni` at line 12, column 9. */

import { type Document, isMap, isScalar, type LineCounter, type Node } from 'yaml'

export type Path = readonly (string | number)[]

/** Something is wrong there. `atKey` points to the key of the last step and not to its value. */
export interface Finding {
  readonly path: Path
  readonly message: string
  readonly atKey?: boolean
}

export interface SiteError {
  readonly line: number
  readonly column: number
  readonly path: string
  readonly message: string
}

export function formatPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`
    return text === '' ? step : `${text}.${step}`
  }, '')
}

export function formatError(file: string, { line, column, path, message }: SiteError): string {
  return `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`
}

export class Positions {
  readonly #document: Document.Parsed
  readonly #lines: LineCounter

  constructor(document: Document.Parsed, lines: LineCounter) {
    this.#document = document
    this.#lines = lines
  }

  locate(finding: Finding): SiteError {
    const path = this.#existing(finding.path)
    const offset = finding.atKey ? this.#keyOffset(finding.path) : undefined
    const node = this.#node(path) ?? this.#document.contents
    const shown = finding.path.length > path.length && isScalar(node) ? path : finding.path
    return this.at(offset ?? node?.range?.[0] ?? 0, formatPath(shown), finding.message)
  }

  at(offset: number, path: string, message: string): SiteError {
    const { line, col } = this.#lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1), path, message }
  }

  /** The path as far as there is something: a missing key is missed in its map. */
  #existing(path: Path): Path {
    for (let length = path.length; length > 0; length--) {
      const part = path.slice(0, length)
      if (this.#node(part)) return part
    }
    return []
  }

  #node(path: Path): Node | undefined {
    if (path.length === 0) return this.#document.contents ?? undefined
    return (this.#document.getIn(path, true) as Node | undefined) ?? undefined
  }

  #keyOffset(path: Path): number | undefined {
    const map = this.#node(path.slice(0, -1))
    const pair = isMap(map)
      ? map.items.find(({ key }) => isScalar(key) && String(key.value) === path.at(-1))
      : undefined
    return (pair?.key as Node | undefined)?.range?.[0]
  }
}
