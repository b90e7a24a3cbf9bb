import { equal, throws } from 'node:assert/strict'
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { busSocket } from '../bus/embedded/main.ts'
import { RUN_DIRECTORY_BYTES_MAX } from '../config/limits.ts'
import { openRunDirectory } from './run-directory.ts'

const NOBODY = 65534

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'run-'))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}

test('a run directory that is not there is made, for nobody else to write', (t) => {
  const path = join(folder(t), 'gatehouse/site')
  equal(openRunDirectory(path), path)
  equal(statSync(path).mode & 0o022, 0)
  equal(openRunDirectory(path), path)
})

test('one that others may write is refused', (t) => {
  const path = folder(t)
  for (const mode of [0o770, 0o1777, 0o702]) {
    chmodSync(path, mode)
    throws(() => openRunDirectory(path), /may be written by others \(mode 7\d\d\)/)
  }
})

test('one of another user is refused', { skip: process.geteuid!() === 0 ? false : 'needs root' }, (t) => {
  const path = folder(t)
  chownSync(path, NOBODY, NOBODY)
  throws(() => openRunDirectory(path), {
    message: `run directory ${path} belongs to user ${NOBODY}, not to user 0 who runs this`,
  })
})

test('a file in its place is refused', (t) => {
  const path = join(folder(t), 'file')
  writeFileSync(path, '')
  throws(() => openRunDirectory(path), /EEXIST/)
})

test('one whose socket would have too long a path is refused before it is made', () => {
  const longest = `/${'x'.repeat(RUN_DIRECTORY_BYTES_MAX - 1)}`
  equal(Buffer.byteLength(busSocket(longest)), 107)
  throws(() => openRunDirectory(`${longest}x`), /longer than the 98 bytes/)
})
