/**
 * What a track has told of prefixes with several paths each (RFC 7911): by prefix the paths by their identifiers, which are
 * the numbers of our own paths. Few peers ask for it and few prefixes have many paths, so these are objects and no columns.
 */

import { type AttributeSets, NO_SET } from './attribute-sets.ts'

export interface ToldPath {
  readonly id: number
  readonly set: number
  /** Whose path it is, for it is not told of its own. */
  readonly source: number
  readonly label: number
}

const NOTHING: readonly ToldPath[] = []

export class ToldPaths {
  readonly #sets: AttributeSets
  readonly #byPrefix = new Map<number, readonly ToldPath[]>()

  constructor(sets: AttributeSets) {
    this.#sets = sets
  }

  of(prefix: number): readonly ToldPath[] {
    return this.#byPrefix.get(prefix) ?? NOTHING
  }

  replace(prefix: number, paths: readonly ToldPath[]): void {
    for (const { set } of paths) if (set !== NO_SET) this.#sets.use(set)
    for (const { set } of this.of(prefix)) if (set !== NO_SET) this.#sets.drop(set)
    if (paths.length > 0) this.#byPrefix.set(prefix, paths)
    else this.#byPrefix.delete(prefix)
  }

  copy(): ToldPaths {
    const other = new ToldPaths(this.#sets)
    for (const [prefix, paths] of this.#byPrefix) other.replace(prefix, paths)
    return other
  }

  /** All of it is to be told again; which identifiers were told stays known. */
  forget(): void {
    for (const [prefix, paths] of this.#byPrefix)
      this.replace(
        prefix,
        paths.map((path) => ({ ...path, set: NO_SET })),
      )
  }

  clear(): void {
    for (const prefix of [...this.#byPrefix.keys()]) this.replace(prefix, NOTHING)
  }
}
