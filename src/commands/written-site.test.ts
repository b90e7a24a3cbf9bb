import { deepEqual, equal, throws } from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadOrFail } from './failure.ts'
import { readSite, writeSite, writtenSite } from './written-site.ts'

const EXAMPLE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')

function runDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-run-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

test('a site comes back as it was written, for its owner and group alone', (t) => {
  const directory = runDirectory(t)
  const site = loadOrFail(EXAMPLE)
  writeSite(directory, site)
  deepEqual(readSite(writtenSite(directory), directory), site)
  equal(statSync(writtenSite(directory)).mode & 0o777, 0o640)
})

test('what up wrote is believed; any other file is checked, and so is what no up has written', (t) => {
  const directory = runDirectory(t)
  const site = loadOrFail(EXAMPLE)
  // Of its right form, and yet wrong: a VIP that no cluster serves.
  writeSite(directory, { ...site, vips: [...site.vips, { name: 'spare', address: '10.9.9.9' }] })
  equal(readSite(writtenSite(directory), directory).vips.at(-1)!.name, 'spare')
  throws(() => readSite(writtenSite(directory), undefined), /vips\[1\]: no cluster serves VIP "spare"/)
  writeFileSync(writtenSite(directory), '{"sites": 1}')
  throws(() => readSite(writtenSite(directory), directory), /unknown key "sites"/)
  writeFileSync(writtenSite(directory), '{')
  throws(() => readSite(writtenSite(directory), directory), /site.json:1:/)
})
