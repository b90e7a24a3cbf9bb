import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { KeptBatches } from './kept-batches.ts'

const message = (text: string): Uint8Array => Buffer.from(text)

function place(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'kept-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'batches/fib-blue.fn-1')
}

/** What every open file has in common, for tests to replace. */
async function fileMethods(): Promise<FileHandle> {
  const file = await open('/dev/null')
  await file.close()
  return Object.getPrototypeOf(file) as FileHandle
}

async function load(path: string) {
  const kept = new KeptBatches(path)
  const found = await kept.load()
  await kept.close()
  return found && { ...found, messages: found.messages.map((bytes) => Buffer.from(bytes).toString()) }
}

test('batches are whole also where the system takes a few bytes at a time', async (t) => {
  const path = place(t)
  const methods = await fileMethods()
  const write = methods.write as (this: FileHandle, bytes: Uint8Array, ...rest: number[]) => Promise<unknown>
  t.mock.method(
    methods,
    'write',
    function (this: FileHandle, bytes: Uint8Array, from: number, length: number, at: number) {
      return write.call(this, bytes, from, Math.min(length, 3), at)
    },
  )
  const kept = new KeptBatches(path)
  await kept.replace('first', 7, message('the snapshot'))
  await kept.append(8, message('and what followed'))
  await kept.close()
  deepEqual(await load(path), { incarnation: 'first', next: 8, messages: ['the snapshot', 'and what followed'] })
})

test('a snapshot is on the disk before it takes the place of the one before', async (t) => {
  const path = place(t)
  const methods = await fileMethods()
  const { datasync } = methods
  let synced = 0
  t.mock.method(methods, 'datasync', function (this: FileHandle) {
    equal(existsSync(path), false)
    synced++
    return datasync.call(this)
  })
  const kept = new KeptBatches(path)
  await kept.replace('first', 7, message('the snapshot'))
  await kept.close()
  equal(synced, 1)
  ok(existsSync(path))
})

test('a snapshot that the disk refuses leaves what is there, and the next one is taken', async (t) => {
  const path = place(t)
  const methods = await fileMethods()
  const kept = new KeptBatches(path)
  await kept.replace('first', 7, message('the snapshot'))
  const full = t.mock.method(methods, 'write', () => Promise.reject(new Error('ENOSPC')))
  await rejects(kept.replace('first', 9, message('another')), /ENOSPC/)
  full.mock.restore()
  equal((await load(path))?.next, 7)
  await kept.replace('first', 10, message('a third'))
  await kept.append(11, message('and more'))
  await kept.close()
  deepEqual((await load(path))?.messages, ['a third', 'and more'])
})
