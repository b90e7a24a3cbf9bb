import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { needs } from './needs.ts'
import { ensurePackages, findCommand, isRoot } from './packages.ts'

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
})
