import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parsePathPattern } from './as-path-pattern.ts'
import { parseSite } from './load.ts'

const HEAD = 'site: s\nrouting:\n  as: 65001\n  router_id: 10.0.0.1\n'

const WHOLE = `${HEAD}  require_policy: true
  prefix_lists:
    - { name: ours, prefixes: [203.0.113.0/24, { prefix: 10.0.0.0/8, ge: 16 }, { prefix: "2001:DB8::/32", le: 48 }] }
  as_path_lists: [{ name: customers, paths: ["^65002 .*$", "(65010|65011)+ 64512-65534{2,4}"] }]
  community_lists: [{ name: marked, communities: [65001:*, no-export, "*:*:666", rt:65001:1], all: true }]
  policies:
    - name: from-left
      terms:
        - { match: { prefix_list: ours, peer: left }, then: reject }
        - match: { as_path_list: [customers], community_list: marked, med: 5, path_length: { to: 3 } }
          set: { local_preference: 200, med: none, prepend: 2, communities: { add: [65001:1], remove: [65001:*] } }
          then: accept
        - { match: { next_hop: [192.0.2.1, 10.0.0.0/8], origin: igp, family: ipv6-unicast }, set: { next_hop: "FD00:0::1" } }
  neighbours:
    - { name: left, address: 127.0.0.2, as: 65002, import: from-left, export: [from-left] }`

/** With line and column, as they are told. */
function errorsOf(text: string): string[] {
  return (parseSite(text).errors ?? []).map(
    ({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`,
  )
}

test('policies come out with their defaults and read again as the same', () => {
  const { site, errors } = parseSite(WHOLE)
  deepEqual(errors, undefined)
  const { prefix_lists: lists, policies, neighbours } = site!.routing!
  deepEqual(lists[0]!.prefixes, [
    { prefix: '203.0.113.0/24', ge: 24, le: 24 },
    { prefix: '10.0.0.0/8', ge: 16, le: 32 },
    { prefix: '2001:db8::/32', ge: 32, le: 48 },
  ])
  const [reject, change, last] = policies[0]!.terms
  deepEqual(reject!.match, { prefix_list: ['ours'], peer: ['left'] })
  deepEqual(change!.match.med, { from: 5, to: 5 })
  deepEqual(change!.match.path_length, { from: 0, to: 3 })
  deepEqual(change!.set.prepend, { times: 2 })
  deepEqual([last!.then, last!.set.next_hop], ['next', 'fd00::1'])
  deepEqual(neighbours[0]!.import, ['from-left'])
  deepEqual(parseSite(JSON.stringify(site)).site, site)
  const bare = parseSite(WHOLE.replace(', import: from-left, export: [from-left]', '')).site
  deepEqual(bare!.routing!.neighbours[0]!.export, [])
  deepEqual(parseSite(JSON.stringify(bare)).site, bare)
})

test('what is wrong in a policy is told with its place', () => {
  const cases: readonly (readonly [before: string, after: string, error: string])[] = [
    [
      'prefix_list: ours,',
      'prefix_list: our,',
      '13:35 routing.policies[0].terms[0].match.prefix_list: there is no prefix list "our"; did you mean "ours"?',
    ],
    [
      '[customers]',
      '[customers, others]',
      '14:46 routing.policies[0].terms[1].match.as_path_list[1]: there is no AS path list "others"',
    ],
    [
      'community_list: marked',
      'community_list: mark',
      '14:63 routing.policies[0].terms[1].match.community_list: there is no community list "mark"',
    ],
    ['peer: left', 'peer: right', '13:47 routing.policies[0].terms[0].match.peer: there is no neighbour "right"'],
    ['export: [from-left]', 'export: [to-left]', '19:80 routing.neighbours[0].export[0]: there is no policy "to-left"'],
    ['ge: 16', 'ge: 7', '7:74 routing.prefix_lists[0].prefixes[1].ge: ge is below the length of the prefix'],
    ['le: 48', 'le: 129', '7:111 routing.prefix_lists[0].prefixes[2].le: 129 is above the largest length, 128'],
    ['^65002 .*$', '65002 (', '8:46 routing.as_path_lists[0].paths[0]: "65002 (": a ( has no )'],
    [
      'no-export,',
      'no-exprt,',
      '9:60 routing.community_lists[0].communities[1]: "no-exprt" is no community, such as 65001:100 or no-export',
    ],
    [
      'add: [65001:1]',
      'add: [65001:1:1]',
      '15:85 routing.policies[0].terms[1].set.communities.add[0]: "65001:1:1" is no standard community, such as 65001:100 or no-export',
    ],
    [
      'add: [65001:1]',
      'add: [65001:*]',
      '15:85 routing.policies[0].terms[1].set.communities.add[0]: "65001:*" is no standard community, such as 65001:100 or no-export',
    ],
    [
      'prepend: 2',
      'prepend: 33',
      '15:61 routing.policies[0].terms[1].set.prepend: 33 is above the largest number of times, 32',
    ],
    [
      'path_length: { to: 3 }',
      'path_length: { from: 4, to: 3 }',
      '14:92 routing.policies[0].terms[1].match.path_length: it ends before it begins',
    ],
    [
      'then: reject',
      'then: rejct',
      '13:61 routing.policies[0].terms[0].then: "rejct" is none of accept, reject, next; did you mean "reject"?',
    ],
    [
      'origin: igp',
      'origin: ipg',
      '17:65 routing.policies[0].terms[2].match.origin: "ipg" is none of igp, egp, incomplete',
    ],
    [
      '[65001:1], remove',
      '[65001:1], replace: [], remove',
      '15:77 routing.policies[0].terms[1].set.communities: communities are replaced, or added and removed',
    ],
  ]
  for (const [before, after, error] of cases) {
    ok(WHOLE.includes(before), before)
    deepEqual(errorsOf(WHOLE.replace(before, after)), [error])
  }
  const twice = WHOLE.replace('  policies:\n', '  policies:\n    - { name: from-left, terms: [] }\n')
  deepEqual(errorsOf(twice), ['12:13 routing.policies[1].name: "from-left" is already at routing.policies[0].name'])
})

test('a pattern that is none, or is too much, says why', () => {
  for (const [text, wrong] of [
    ['65002)', '")" is not expected'],
    ['65002 |* 7', '"*" is not expected'],
    ['4294967296', '4294967296 is above the largest AS number, 4294967295'],
    ['9-3', '9-3 ends before it begins'],
    ['.{4,2}', '{4,2} ends before it begins'],
    ['a', '"a" is not expected'],
    ['5-', 'the pattern ends too early'],
    ['(.{8}){9}', 'the pattern stands for 72 steps; it may have 64'],
    ['((){9}){9}', 'the pattern stands for 81 steps; it may have 64'],
    ['1'.repeat(1025), 'a pattern has at most 1024 characters'],
  ] as const)
    equal(parsePathPattern(text), wrong, text)
  for (const text of ['', '^$', '.*', ' 1 | | 2 ', '1+?', '(1 2){2,}', '64512-65534*'])
    ok(typeof parsePathPattern(text) !== 'string', text)
})
