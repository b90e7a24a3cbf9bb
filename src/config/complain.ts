/**
 * What all checks of a site are made of: a complaint, a walk over what could be read, a table of what may be there
 * once.
 */

import { formatPath, type Path } from './position.ts'
import { suggest } from './suggestion.ts'

export type Complain = (path: Path, message: string) => void

/** Calls `visit` for every element that could be read. */
export function each<T>(
  list: readonly (T | undefined)[] | undefined,
  visit: (element: T, index: number) => void,
): void {
  list?.forEach((element, index) => {
    if (element !== undefined) visit(element, index)
  })
}

/** Things that there may be one of each: names, addresses. Remembers where the first one is. */
export class Unique<T = unknown> {
  readonly #seen = new Map<string | number, { path: Path; thing: T }>()
  readonly #complain: Complain

  constructor(complain: Complain) {
    this.#complain = complain
  }

  /** False if it is there already, which is complained about. */
  add(key: string | number | undefined, path: Path, thing: T): boolean {
    if (key === undefined) return false
    const first = this.#seen.get(key)
    if (first) this.#complain(path, `${JSON.stringify(key)} is already at ${formatPath(first.path)}`)
    else this.#seen.set(key, { path, thing })
    return first === undefined
  }

  get(key: string | number | undefined): T | undefined {
    return key === undefined ? undefined : this.#seen.get(key)?.thing
  }

  pathOf(key: string | number): Path | undefined {
    return this.#seen.get(key)?.path
  }

  keys(): string[] {
    return Array.from(this.#seen.keys(), String)
  }

  /** What the key refers to; complains if it refers to nothing. */
  refer(what: string, key: string | undefined, path: Path): T | undefined {
    if (key === undefined) return undefined
    const found = this.#seen.get(key)
    if (!found) {
      this.#complain(path, `there is no ${what} ${JSON.stringify(key)}${suggest(key, this.keys())}`)
    }
    return found?.thing
  }
}
