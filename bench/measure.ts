/**
 * Measuring on machines that others use too: many short rounds, those of what is compared in turn, and the middle of each.
 * What disturbs then disturbs all of them, and a median does not see it unless it lasts.
 */

/** Runs every candidate once a round; the medians of what they return, in their order. */
export function inTurn(rounds: number, candidates: readonly (() => number)[]): number[] {
  const results = candidates.map(() => [] as number[])
  for (let round = 0; round < rounds; round++)
    for (const [i, candidate] of candidates.entries()) results[i]!.push(candidate())
  return results.map(median)
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** How long it takes, in seconds. */
export function seconds(work: () => void): number {
  const start_ms = performance.now()
  work()
  return (performance.now() - start_ms) / 1000
}
