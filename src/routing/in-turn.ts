/** What may be asked for by several at once, and has to be done one after the other. */

export interface InTurn<T> {
  (one: T): Promise<void>
  /** Resolves when nothing is being done of what was asked for so far. */
  idle(): Promise<void>
}

/** Runs `take` for each in the order in which they come. What fails is its caller's to hear of, and the next one goes on. */
export function inTurn<T>(take: (one: T) => Promise<void>): InTurn<T> {
  let last: Promise<void> = Promise.resolve()
  const next = (one: T): Promise<void> => {
    last = last.then(
      () => take(one),
      () => take(one),
    )
    return last
  }
  return Object.assign(next, { idle: () => last.catch(() => {}) })
}
