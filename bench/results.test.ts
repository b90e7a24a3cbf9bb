import { deepEqual, equal, match } from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { benchRow } from './report.ts'
import { Results } from './results.ts'

const document = { bench: 'b', machine: 'm', rows: [benchRow({ what: 'lookups', value: 80, unit: 'M/s' })] }

test('a full run keeps its plots, its table and its document', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-results-'))
  try {
    const results = new Results(join(folder, 'results'))
    results.plot('b-lookups.svg', '<svg/>')
    results.report(document)
    const kept = (name: string): string => readFileSync(join(folder, 'results', name), 'utf8')
    deepEqual(readdirSync(join(folder, 'results')).sort(), ['b-lookups.svg', 'b.json', 'b.txt'])
    deepEqual(JSON.parse(kept('b.json')), document)
    match(kept('b.txt'), /^b: m\n\nwhat .*\nlookups +80 M\/s\n$/)
    new Results(undefined).plot('b-lookups.svg', 'another')
    equal(kept('b-lookups.svg'), '<svg/>')
  } finally {
    rmSync(folder, { recursive: true })
  }
  equal(existsSync(folder), false)
})
