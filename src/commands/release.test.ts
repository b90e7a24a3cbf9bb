import { equal, match, notEqual } from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { releaseOf } from './release.ts'

test('a release is another one when anything that its modules are made of changes', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'release-'))
  t.after(() => rmSync(root, { recursive: true }))
  mkdirSync(join(root, 'src/room'), { recursive: true })
  const write = (path: string, text: string): string => {
    writeFileSync(join(root, path), text)
    return releaseOf(root)
  }
  writeFileSync(join(root, 'package.json'), '{ "version": "1.2.3" }')
  writeFileSync(join(root, 'package-lock.json'), '{}')
  const first = write('src/room/a.ts', 'one()')
  match(first, /^1\.2\.3-[0-9a-f]{12}$/)
  equal(releaseOf(root), first)
  equal(write('src/room/a.test.ts', 'test()'), first)
  const second = write('src/room/a.ts', 'two()')
  notEqual(second, first)
  const third = write('src/b.ts', '')
  notEqual(third, second)
  notEqual(write('package-lock.json', '{ }'), third)
})
