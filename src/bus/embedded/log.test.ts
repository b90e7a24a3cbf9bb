/** A stream's files after crashes, damage and under limits. */

import { deepEqual, equal } from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Log } from './log.ts'

const limits = { entriesMax: 1000, bytesMax: 1e9 }
const fail = (error: Error): never => {
  throw error
}

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'log-'))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}

function fill(path: string, from: number, to: number, bytes = 10): void {
  const log = new Log(path, limits, fail)
  for (let i = from; i <= to; i++) equal(log.append(new Uint8Array(bytes).fill(i)), i)
  log.close()
}

/** The sequences that are there; each payload is checked to be its own. */
function sequences(log: Log): number[] {
  const found: number[] = []
  for (let page = log.page(0); page.length > 0; page = log.page(found.at(-1)! + 1)) {
    for (const { number, payload } of page) {
      deepEqual(new Set(payload), new Set([number % 256]))
      found.push(number)
    }
  }
  return found
}

function reopened(path: string, run: (log: Log) => void): void {
  const log = new Log(path, limits, fail)
  run(log)
  log.close()
}

test('a record torn at any byte is cut off, and the next append takes its place', (t) => {
  const path = directory(t)
  fill(path, 1, 3)
  const file = join(path, readdirSync(path)[0]!)
  const whole = readFileSync(file)
  const record = whole.length / 3
  for (let cut = 2 * record; cut < whole.length; cut++) {
    writeFileSync(file, whole.subarray(0, cut))
    reopened(path, (log) => {
      deepEqual(sequences(log), [1, 2])
      equal(log.append(new Uint8Array(5).fill(3)), 3)
    })
    reopened(path, (log) => deepEqual(sequences(log), [1, 2, 3]))
  }
})

test('garbage and zeros behind the last record are cut off', (t) => {
  for (const tail of [new Uint8Array(5000), new Uint8Array(5000).fill(0xff), readFileSync(import.meta.filename)]) {
    const path = directory(t)
    fill(path, 1, 3)
    appendFileSync(join(path, readdirSync(path)[0]!), tail)
    reopened(path, (log) => deepEqual(sequences(log), [1, 2, 3]))
    fill(path, 4, 4)
    reopened(path, (log) => deepEqual(sequences(log), [1, 2, 3, 4]))
  }
})

test('a flipped bit ends a segment there and is counted; what the next segments hold is kept', (t) => {
  const path = directory(t)
  fill(path, 1, 20, 1_000_000)
  const files = readdirSync(path).sort()
  deepEqual(files, ['0000000000000001.log', '0000000000000009.log', '0000000000000017.log'])
  const bytes = readFileSync(join(path, files[0]!))
  bytes[5_500_000]! ^= 1
  writeFileSync(join(path, files[0]!), bytes)
  reopened(path, (log) => {
    deepEqual(sequences(log), [1, 2, 3, 4, 5, ...Array.from({ length: 12 }, (_, i) => i + 9)])
    equal(log.damaged, 3)
    deepEqual([log.first, log.last], [1, 20])
  })
  truncateSync(join(path, files[0]!), 100)
  reopened(path, (log) => {
    deepEqual([log.first, log.last, log.damaged], [9, 20, 8])
    log.setLimits({ entriesMax: 2, bytesMax: 1e9 })
    deepEqual(sequences(log), [19, 20])
    deepEqual(readdirSync(path).sort(), ['0000000000000001.log.damaged', '0000000000000017.log'])
  })
})

test('the newest entry stays, however small the limits', (t) => {
  const path = directory(t)
  const log = new Log(path, { entriesMax: 1, bytesMax: 1 }, fail)
  for (let i = 1; i <= 12; i++) log.append(new Uint8Array(1_000_000).fill(i))
  deepEqual(sequences(log), [12])
  equal(readdirSync(path).length, 1)
  log.close()
  reopened(path, (log) => equal(log.last, 12))
})

test('an empty log has nothing before 1', (t) => {
  const log = new Log(directory(t), limits, fail)
  deepEqual([log.first, log.last, log.page(1)], [1, 0, []])
  log.close()
})
