/** "Did you mean?" for a word that is not one of those that there are. */

/** The nearest word if it is near enough to be a slip of the hand, as the end of a sentence; else nothing. */
export function suggest(wrong: string, known: Iterable<string>): string {
  let best: string | undefined
  let bestDistance = Math.min(3, Math.ceil(wrong.length / 2))
  for (const candidate of known) {
    if (Math.abs(candidate.length - wrong.length) >= bestDistance) continue
    const distance = editDistance(wrong.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best === undefined ? '' : `; did you mean ${JSON.stringify(best)}?`
}

/** Letters to insert, remove or replace (Levenshtein), a row of the matrix at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
