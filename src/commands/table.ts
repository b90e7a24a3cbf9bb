/** Rows as columns for a terminal: numbers to the right, everything else to the left. */

type Row = Readonly<Record<string, unknown>>

/** Columns are those of all rows, in the order in which they first appear. No rows make an empty text. */
export function table(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const cells = [columns, ...rows.map((row) => columns.map((column) => text(row[column])))]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)))
  const isNumber = columns.map((column) => rows.every((row) => typeof (row[column] ?? 0) === 'number'))
  if (rows.length === 0) return ''
  return cells
    .map((line) =>
      line
        .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function text(value: unknown): string {
  if (value === undefined || value === null) return '-'
  if (Array.isArray(value)) return value.map(text).join(' ')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
