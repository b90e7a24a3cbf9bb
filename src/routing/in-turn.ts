/** What may be asked for by several at once, and has to be done one after the other. */

/** Runs `take` for each in the order in which they come. What fails is its caller's to hear of, and the next one goes on. */
export function inTurn<T>(take: (one: T) => Promise<void>): (one: T) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return (one) => {
    last = last.then(
      () => take(one),
      () => take(one),
    )
    return last
  }
}
