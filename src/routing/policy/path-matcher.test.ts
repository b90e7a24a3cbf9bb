import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parsePathPattern } from '../../config/as-path-pattern.ts'
import { writeSegments } from '../../wire/bgp/as-path.ts'
import { Writer } from '../../wire/cursor.ts'
import { Hops } from './draft.ts'
import { PathMatcher } from './path-matcher.ts'
import { parsePath } from './route-attributes.ts'

function matcher(text: string): PathMatcher {
  const pattern = parsePathPattern(text)
  ok(typeof pattern !== 'string', `${pattern}`)
  return new PathMatcher(pattern)
}

function hopsOf(path: string): Hops {
  const out = new Writer()
  writeSegments(out, parsePath(path)!, true)
  const bytes = out.finish()
  const hops = new Hops()
  hops.read([], new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length)
  return hops
}

test('patterns match whole paths', () => {
  const cases: readonly (readonly [pattern: string, yes: string[], no: string[]])[] = [
    ['', [''], ['1']],
    ['65002', ['65002'], ['', '65002 65002', '6500', '650021']],
    ['^65002 .*$', ['65002', '65002 7 8'], ['7 65002', '']],
    ['.* 7', ['7', '1 2 7'], ['7 1', '77', '17']],
    ['65002+', ['65002', '65002 65002 65002'], ['', '65002 1']],
    ['.{1,3}', ['1', '1 2 3'], ['', '1 2 3 4']],
    ['.{2,}', ['1 2', '1 2 3 4 5'], ['1', '']],
    ['1 (2 3)* 4', ['1 4', '1 2 3 2 3 4'], ['1 2 4', '1 3 4', '1 2 3 2 4']],
    ['1|2 3|', ['1', '2 3', ''], ['2', '1 3', '3']],
    ['.* 64512-65534 .*', ['64512', '1 65000 2', '65534'], ['64511', '65535 1', '']],
    ['1 2 3', ['1 2 3', '1 {2,9} 3', '1 {9,2} 3'], ['1 9 3', '1 {8,9} 3']],
    ['.{64}', [Array(64).fill(5).join(' ')], [Array(63).fill(5).join(' '), Array(65).fill(5).join(' ')]],
    ['(1?){3} 2', ['2', '1 2', '1 1 1 2'], ['1 1 1 1 2', '1']],
  ]
  for (const [pattern, yes, no] of cases) {
    const one = matcher(pattern)
    for (const path of yes) equal(one.matches(hopsOf(path)), true, `${pattern} has ${path}`)
    for (const path of no) equal(one.matches(hopsOf(path)), false, `${pattern} has not ${path}`)
  }
})

test('no pattern runs away: what costs others minutes is one walk over the longest path', () => {
  const longest = Array(16_000).fill(1).join(' ')
  const hops = hopsOf(`${longest} 2`)
  const start = performance.now()
  for (const pattern of ['(.*){20} 3', '((1+)+)+ 3', '(1|1|1 1)* 3', '(.?){60} 3', '.* .* .* .* .* .* .* .* 3'])
    equal(matcher(pattern).matches(hops), false)
  ok(performance.now() - start < 5000, `${performance.now() - start} ms`)
})
