import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { addressOf, excludeFromFork, firstPageIn, PAGE_BYTES } from './memory.ts'
import { bytes, struct, text, u8, u16be, u32, u64 } from './struct.ts'

test('a large buffer is left out of forked children, a small one is not', () => {
  // proc(5): VmFlags of the mapping that holds an address; dc is "do not copy on fork".
  const excluded = (memory: SharedArrayBuffer): boolean => {
    const inside = addressOf(memory) + firstPageIn(memory)
    for (const mapping of readFileSync('/proc/self/smaps', 'utf8').split(/\n(?=[0-9a-f]+-)/)) {
      const [from, to] = mapping
        .split(' ')[0]!
        .split('-')
        .map((hex) => Number.parseInt(hex, 16))
      if (from! <= inside && inside < to!) return /VmFlags:.* dc\b/.test(mapping)
    }
    return assert.fail('no mapping holds the buffer')
  }
  const [large, small] = [new SharedArrayBuffer(40 << 20), new SharedArrayBuffer(PAGE_BYTES * 4)]
  excludeFromFork(large)
  excludeFromFork(small)
  assert.equal(excluded(large), true)
  assert.equal(excluded(small), false)
  assert.equal((addressOf(large) + firstPageIn(large)) % PAGE_BYTES, 0)
})

test('a structure is laid out as the C compiler would, and read back', () => {
  const sample = struct('sample', { a: u8, b: u32, c: u16be, d: u64, e: text(5), f: bytes(2) })
  assert.deepEqual(sample.offset, { a: 0, b: 4, c: 8, d: 16, e: 24, f: 29 })
  assert.equal(sample.BYTES, 32)
  const values = { a: 1, b: 0xfffffffe, c: 0x0102, d: 2 ** 40 + 3, e: 'name', f: Uint8Array.of(8, 9) }
  const raw = sample.make(values)
  assert.deepEqual([...raw.subarray(8, 10)], [1, 2])
  assert.deepEqual(sample.read(raw), values)
  assert.equal(sample.read(sample.make({ e: 'too long' })).e, 'too ')
})
