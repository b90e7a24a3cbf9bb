import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { needs, needsLinux } from './needs.ts'
import { ensurePackages, findCommand, forbidServices, isRoot } from './packages.ts'

const NOBODY = 65534

suite('packages', () => {
  test('a program is found wherever Debian puts it, and only if it can be run', () => {
    match(findCommand('sh') ?? '', /\/sh$/)
    equal(findCommand('no-such-program'), undefined)
    const path = process.env['PATH']
    process.env['PATH'] = ''
    try {
      ok(findCommand('ldconfig'), "in /sbin, which is not in everybody's PATH")
    } finally {
      process.env['PATH'] = path
    }
  })

  test('what is there needs nobody to install it', () => {
    deepEqual(ensurePackages([{ debian: 'dash', command: 'sh' }]), ['present'])
  })

  test('without root one learns what would be missing', { skip: isRoot() ? false : 'needs root' }, () => {
    const url = JSON.stringify(new URL('./packages.ts', import.meta.url).href)
    const script = `
      const { ensurePackages } = await import(${url})
      console.log(JSON.stringify(ensurePackages([{ debian: 'some-package', command: 'no-such-program' }])))`
    const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script]
    const { stdout } = spawnSync(process.execPath, args, { uid: NOBODY, gid: NOBODY, encoding: 'utf8', cwd: '/' })
    deepEqual(JSON.parse(stdout), [{ missing: 'installing some-package needs root' }])
  })

  test('a test is skipped with a reason that names the package', { skip: isRoot() ? false : 'needs root' }, () => {
    equal(needs('sh'), false)
    equal(needs('sh', 'no-such-program'), 'needs no-such-program (Debian package no-such-program)')
  })

  test('a test is skipped on a kernel that is too old, with its version', () => {
    for (const kernel of ['6.6.0', '6.12.43+deb13-amd64', '7.0-rc1']) equal(needsLinux(6, 6, kernel), false)
    equal(needsLinux(6, 6, '6.1.0-39-amd64'), 'needs Linux 6.6 or later; this is 6.1.0-39-amd64')
    ok(needsLinux(6, 6, '5.15.0-91-generic'))
  })

  test('services are forbidden for the time being, by a policy of ours and never by changing another', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-policy-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'policy-rc.d')
    const allow = forbidServices(path)
    equal(spawnSync(path).status, 101)
    forbidServices(path) // what one that was killed has left is replaced
    allow()
    equal(existsSync(path), false)
    for (const others of ['', '#!/bin/sh\nexit 104\n']) {
      writeFileSync(path, others)
      forbidServices(path)()
      equal(readFileSync(path, 'utf8'), others)
    }
    rmSync(path)
    const late = forbidServices(path)
    writeFileSync(path, 'of somebody who came in between')
    late()
    ok(existsSync(path))
  })
})
