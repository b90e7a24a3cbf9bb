import { deepEqual, equal, match, throws } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Diary, START_us, updateOf } from '../routing/history/diary.ts'
import { timeOf, timeText } from './show-history.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const state = mkdtempSync(join(tmpdir(), 'show-history-'))
after(() => rmSync(state, { recursive: true }))

const TRANSIT = ['transit', '10.0.0.2'] as const
const ACME = ['acme-dc', '10.0.0.2'] as const

function show(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  const where = words.includes('--state') ? [] : ['--state', state]
  const args = ['--disable-warning=ExperimentalWarning', MAIN, 'show', 'history', ...words, ...where]
  return spawnSync(process.execPath, args, { encoding: 'utf8' })
}

suite('gatehouse show history', () => {
  const diary = new Diary({ directory: join(state, 'history', 'routing-1') })
  diary.up(...TRANSIT)
  diary.up(...ACME)
  diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'], path: [65_002, 7], med: 5 })
  diary.updates(...ACME, { announce: ['203.0.113.0/24'], path: [65_100] })
  const held_us = diary.now_us
  diary.gap(3)
  diary.updates(...TRANSIT, { withdraw: ['203.0.113.0/24'] })
  diary.recorder.close()

  test('tells every change in order, with the update that made it', () => {
    const { stdout, stderr } = show('203.0.113.0/24')
    equal(stderr, '')
    const [head, ...lines] = stdout.trimEnd().split('\n')
    match(head!, /^time +event +peer +address +origin +AS path +next hop +MED +record +tenant$/)
    deepEqual(
      lines.slice(0, 3).map((line) => line.split(/ {2,}/).slice(1, 3).join(' ')),
      ['announced transit', 'announced acme-dc', 'withdrawn transit'],
    )
    match(lines[0]!, /65002 7 .* 00000001\.mrt:\d+/)
    match(lines[3]!, /^lost from .* to .*: 3 chunks, 3000 bytes of updates, 0 events$/)
    match(lines[4]!, /^the history begins at /)
  })

  test('tells what held at a time, a peer a row, and whether that is certain', () => {
    const at = (time: string, ...more: string[]): Record<string, unknown>[] =>
      JSON.parse(show('203.0.113.0/24', '--at', time, '--json', ...more).stdout).nodes[0].rows
    const then = at(timeText(held_us))
    deepEqual(
      then.map(({ peer, tenant, state: held, since, certain }) => [peer, tenant, held, since, certain]),
      [
        ['transit', undefined, 'held', timeText(START_us + 3e6), undefined],
        ['acme-dc', 'acme', 'held', timeText(held_us), undefined],
      ],
    )
    const later = at(String(diary.now_us / 1e6))
    deepEqual(
      later.map(({ peer, state: held, certain }) => [peer, held, certain]),
      [
        ['transit', 'withdrawn', undefined],
        ['acme-dc', 'held', 'no, something was lost since'],
      ],
    )
    deepEqual(
      at(String(diary.now_us / 1e6), '--peer', 'acme-dc').map(({ peer }) => peer),
      ['acme-dc'],
    )
  })

  test('says what it does not know, rather than that there was no route', () => {
    const old = new Diary({ directory: join(state, 'old', 'history', 'routing-1'), size_bytes: 8 << 20 })
    old.up(...TRANSIT)
    old.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    const many = Array.from({ length: 2000 }, () => updateOf({ announce: ['10.1.0.0/16'] }))
    for (let round = 0; round < 100; round++) old.updates(...TRANSIT, ...many)
    old.recorder.close()
    const ask = (...words: string[]): string => show('203.0.113.0/24', '--state', join(state, 'old'), ...words).stdout
    const now = String(old.now_us / 1e6)
    match(ask('--at', now), /^no route is known\nunknown before \S+ from transit \(10\.0\.0\.2\): its session is older/)
    const { begin, unknown } = JSON.parse(ask('--at', now, '--json')).nodes[0]
    deepEqual(unknown, [{ peer: 'transit', address: '10.0.0.2', before: begin }])
    match(ask('--at', String(START_us / 1e6)), /^no route is known\nunknown before \S+\n/)
  })

  test('says what is wrong with the question', () => {
    const wrong: readonly (readonly string[])[] = [[], ['203.0.113.1/24'], ['203.0.113.0/24', '--at', 'yesterday']]
    const errors = wrong.map((words) => show(...words))
    deepEqual(
      errors.map(({ status }) => status),
      [2, 2, 2],
    )
    match(errors[0]!.stderr, /say which prefix/)
    match(errors[1]!.stderr, /203\.0\.113\.1\/24 is no prefix/)
    match(errors[2]!.stderr, /yesterday is no time/)
    const nowhere = spawnSync(process.execPath, [MAIN, 'show', 'history', '10.0.0.0/8', '--state', `${state}/no`])
    equal(nowhere.status, 1)
  })
})

test('times are read to the microsecond, and a date has to say its zone', () => {
  equal(timeOf('2026-03-01T12:00:00Z'), Date.UTC(2026, 2, 1, 12) * 1000)
  equal(timeOf('2026-03-01T13:30+01:30'), Date.UTC(2026, 2, 1, 12) * 1000)
  equal(timeOf('2026-03-01T12:00:00.000123Z'), Date.UTC(2026, 2, 1, 12) * 1000 + 123)
  equal(timeOf('1700000000.5'), 1_700_000_000_500_000)
  equal(timeText(timeOf('2026-03-01T12:00:00.000123Z')), '2026-03-01T12:00:00.000123Z')
  for (const text of ['2026-03-01T12:00:00', '2026-03-01', '2026-13-01T12:00:00Z', 'now', ''])
    throws(() => timeOf(text))
})
