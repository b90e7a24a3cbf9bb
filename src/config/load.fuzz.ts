/** Site files with lines and characters changed: reading one never throws, and every error points into the file. */

import { ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freshSeed, Random } from '../base/random.ts'
import { parseSite } from './load.ts'

const runs = Number(process.env['FUZZ_N'] ?? 300)
const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const random = new Random(seed)
const examples = fileURLToPath(new URL('../../examples/', import.meta.url))
const texts = readdirSync(examples, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(examples + name, 'utf8').slice(0, 4000))
const VALUES = [
  '-1',
  '0',
  '1e99',
  'null',
  '[]',
  '{}',
  '[[]]',
  '"',
  'true',
  '10.0.0.0/33',
  '::',
  '0.0.0.0/0',
  '*x',
  '&x a',
  'vip-1',
]

test(`site files, ${runs} mutations, FUZZ_SEED=${seed}`, () => {
  for (let run = 0; run < runs; run++) {
    const text = mutated(random.pick(texts))
    const lines = text.split('\n').length
    for (const { line, column, message } of parseSite(text).errors ?? []) {
      ok(line >= 1 && line <= lines && column >= 1 && message.length > 0, text)
    }
  }
})

function mutated(text: string): string {
  const lines = text.split('\n')
  for (let change = random.below(3); change >= 0; change--) {
    const at = random.below(lines.length)
    const line = lines[at]!
    const kind = random.below(5)
    if (kind === 0) lines.splice(at, 1 + random.below(3))
    else if (kind === 1) lines.splice(random.below(lines.length), 0, line)
    else if (kind === 2) lines[at] = line.replace(/[:,] .*?(?=[,}\]]|$)/, `: ${random.pick(VALUES)}`)
    else if (kind === 3) lines[at] = ' '.repeat(random.below(8)) + line.trim()
    else
      lines[at] =
        line.slice(0, random.below(line.length + 1)) +
        String.fromCharCode(32 + random.below(95)) +
        line.slice(random.below(line.length + 1))
  }
  return lines.join('\n')
}
