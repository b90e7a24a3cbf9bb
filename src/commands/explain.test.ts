import { deepEqual, equal, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'explain-'))
const SITE = join(directory, 'site.yaml')
after(() => rmSync(directory, { recursive: true }))

writeFileSync(
  SITE,
  `site: s
routing:
  as: 65001
  router_id: 10.0.0.1
  prefix_lists: [{ name: bogons, prefixes: [{ prefix: 10.0.0.0/8, le: 32 }] }]
  as_path_lists: [{ name: left, paths: [65002 .*] }]
  policies:
    - name: from-left
      terms:
        - { name: bogons, match: { prefix_list: bogons, origin: igp }, then: reject }
        - match: { as_path_list: left, family: ipv4-unicast }
          set: { local_preference: 200, communities: { add: [65001:1] } }
          then: accept
    - { name: of-left, terms: [{ match: { peer: left }, set: { prepend: 1 }, then: accept }, { then: reject }] }
  neighbours:
    - { name: left, address: 127.0.0.2, as: 65002, import: from-left }
    - { name: right, address: 127.0.0.3, as: 65003, export: of-left }
`,
)

function explain(...args: string[]): { status: number | null; lines: string[]; stderr: string } {
  const options = ['--disable-warning=ExperimentalWarning', MAIN, 'explain', 'route', ...args, '--site', SITE]
  const { status, stdout, stderr } = spawnSync(process.execPath, options, { encoding: 'utf8' })
  return { status, lines: stdout.trimEnd().split('\n'), stderr }
}

test('a route is told term by term, with what was so, what was set, and the verdict', () => {
  const given = ['--as-path', '65002 7', '--community', 'graceful-shutdown', '1:2:3']
  deepEqual(explain('203.0.113.0/24', '--peer', 'left', '--direction', 'in', ...given).lines, [
    '203.0.113.0/24 from left: AS path 65002 7, next hop 127.0.0.2, origin igp, communities graceful-shutdown, large communities 1:2:3',
    'policies: from-left',
    '  from-left, term bogons: does not match',
    '    is      origin igp',
    '    is not  prefix list bogons',
    '  from-left, term 2: matches',
    '    is      family ipv4-unicast',
    '    is      AS path list left',
    '    set     local preference 200',
    '    set     communities with 65001:1',
    '    then    accept',
    '  built in: graceful shutdown (RFC 8326): local preference 0',
    'accepted: policy from-left, term 2',
    '  communities: graceful-shutdown -> graceful-shutdown 65001:1',
    '  local preference: none -> 0',
  ])
})

test('a program is told the same', () => {
  const { status, lines } = explain('10.1.0.0/16', '--peer', 'left', '--direction', 'in', '--json')
  equal(status, 0)
  const { terms, verdict, by, before } = JSON.parse(lines.join(''))
  const holds = ['origin igp', 'prefix list bogons (10.0.0.0/8, lengths 8 to 32)']
  const told = JSON.stringify(terms)
  equal(
    told,
    JSON.stringify([{ policy: 'from-left', term: 'bogons', matched: true, holds, set: [], outcome: 'reject' }]),
  )
  deepEqual([verdict, by], ['reject', 'policy from-left, term bogons'])
  deepEqual(before, { 'AS path': '65002', 'next hop': '127.0.0.2', origin: 'igp' })
})

test('on its way out it matters whose route it was', () => {
  const out = ['203.0.113.0/24', '--peer', 'right', '--direction', 'out']
  ok(explain(...out, '--from', 'left').lines.includes('  AS path: 65002 -> 65001 65002'))
  ok(explain(...out).lines.includes('rejected: policy of-left, term 2'))
})

test('what is wrong with the question is said', () => {
  const asked = (...args: string[]): string => {
    const { status, stderr } = explain(...args)
    equal(status, 2)
    return stderr.trimEnd()
  }
  const left = ['--peer', 'left', '--direction', 'in']
  equal(asked('10.0.0.1/8', ...left), '10.0.0.1/8 is no prefix, such as 203.0.113.0/24')
  equal(asked('10.0.0.0/8', '--peer', 'lft', '--direction', 'in'), 'there is no neighbour lft')
  equal(asked('10.0.0.0/8', '--peer', 'left', '--direction', 'up'), 'the direction is in or out, and not up')
  equal(asked('10.0.0.0/8', ...left, '--as-path', '1 x'), '"1 x" is no AS path, such as "65002 7 {8,9}"')
  equal(asked('10.0.0.0/8', ...left, '--med', '-1'), '-1 is no MED, 0 to 4294967295')
  equal(asked('10.0.0.0/8', ...left, '--next-hop', '::1'), '::1 is of another IP version than the prefix')
  const community = '9 is no community, such as 65001:100, no-export, rt:65001:1 or 65001:2:3'
  equal(asked('10.0.0.0/8', ...left, '--community', '9'), community)
})

test('what no policy decides on is told too: paths that come back, that begin with others, and what is not to be told', () => {
  const last = (...args: string[]): string => explain('203.0.113.0/24', ...args).lines.at(-1)!
  const into = ['--peer', 'left', '--direction', 'in', '--as-path']
  equal(
    last(...into, '65002 65001 7'),
    'rejected: AS 65001, our own, is in the path (RFC 4271 section 9.1.2): allow_as_in is 0',
  )
  equal(
    last(...into, '7 65002'),
    "rejected: the path does not begin with the neighbour's AS (RFC 4271 section 6.3): enforce_first_as",
  )
  const out = ['--peer', 'right', '--direction', 'out', '--from', 'left']
  equal(last(...out, '--community', 'no-export'), 'rejected: no-export: it stays in our AS (RFC 1997)')
  equal(last(...out, '--community', 'no-advertise'), 'rejected: no-advertise: it is told to nobody (RFC 1997)')
  equal(last('--peer', 'left', '--direction', 'out', '--from', 'left'), 'rejected: it is its own route')
})
