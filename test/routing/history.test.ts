/**
 * The history of a real session: a BIRD announces, changes its mind and dies; bgpdump reads what was recorded, and
 * `gatehouse show history` answers from it when nothing runs any more.
 */

import { deepEqual, equal, match } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { type BgpOrigination, untilTable } from '../../lab/peers/bgp-router.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { RoutingModule } from '../../lab/routing-module.ts'
import { segmentsIn } from '../../src/routing/history/segments.ts'

const ROOT = resolve(import.meta.dirname, '../..')

const route: BgpOrigination = {
  prefix: '198.51.100.0/24',
  asPath: [64999, 4_200_000_001],
  origin: 'igp',
  med: 70,
  communities: ['65002:7'],
  largeCommunities: [],
}

function show(site: string, state: string, ...words: string[]) {
  const args = ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'show', 'history', ...words]
  const all = [...args, '--site', site, '--state', state, '--json']
  const { stdout, stderr, status } = spawnSync(process.execPath, all, { cwd: ROOT, encoding: 'utf8' })
  equal(status, 0, stderr)
  return JSON.parse(stdout).nodes[0] as { node: string; gaps: unknown[]; rows: Record<string, string>[] }
}

/** `TIME|kind|...` without time, one a line: bgpdump -m. */
function dumped(state: string): string[] {
  return segmentsIn(`${state}/history/routing`).flatMap(({ records }) => {
    const { stdout, stderr, status } = spawnSync('bgpdump', ['-m', records], { encoding: 'utf8' })
    equal(status, 0, stderr)
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) =>
        line
          .split('|')
          .filter((_, i) => i !== 1)
          .join('|'),
      )
  })
}

suite('the history', { skip: needs('ip', 'bird', 'bgpdump') }, () => {
  test('of a session and its routes is read by bgpdump, and answers when nothing runs any more', async () => {
    await using lab = await Lab.open()
    await lab.addNamespaces(['host'])
    const example = resolve(ROOT, 'examples/route-server.yaml')
    const routing = await RoutingModule.startFile(lab, 'host', example)
    const state = `${lab.folder}/routing-host/run`
    const birdOf = async (name: string, number: number): Promise<Bird> => {
      const local = `127.0.0.${number}`
      const server = { local, remote: '127.0.0.1', port: 1790, as: 65001, families: ['ipv4'] } as const
      const whose = { lab, namespace: 'host', name, as: 65000 + number, routerId: `10.0.0.${number}` }
      return await Bird.start({ ...whose, neighbours: [server] })
    }
    const [left, right] = await Promise.all([birdOf('left', 2), birdOf('right', 3)])
    const holds = (...expected: string[]): Promise<void> => untilTable(right, 'ipv4', expected)
    await routing.established('left', 'right')
    await left.announce([route])
    await holds('198.51.100.0/24 via 127.0.0.2 path 65002 64999 4200000001 igp med 70 65002:7')
    const then = new Date().toISOString()
    await left.announce([{ ...route, asPath: [], med: undefined, communities: [] }])
    await holds('198.51.100.0/24 via 127.0.0.2 path 65002 igp')
    const down = routing.next('left', 'down')
    await left.kill()
    const { reason } = await down
    await routing.stop()

    const [at] = show(example, state, route.prefix, '--at', then).rows
    deepEqual(
      [at!['peer'], at!['state'], at!['AS path'], at!['next hop'], at!['MED'], at!['communities']],
      ['left', 'held', '65002 64999 4200000001', '127.0.0.2', '70', '65002:7'],
    )
    const all = show(example, state, route.prefix, '--peer', 'left')
    deepEqual(
      all.rows.map((row) => [row['event'], row['AS path'], row['reason']]),
      [
        ['announced', '65002 64999 4200000001', undefined],
        ['announced', '65002', undefined],
        ['session down', undefined, reason],
      ],
    )
    deepEqual([all.node, all.gaps], ['routing', []])
    deepEqual(show(example, state, route.prefix, '--peer', 'right').rows, [])

    const lines = dumped(state)
    const ofLeft = lines.filter((line) => line.includes('|127.0.0.2|65002|'))
    deepEqual(
      ofLeft.filter((line) => line.startsWith('BGP4MP_ET|A')),
      [
        'BGP4MP_ET|A|127.0.0.2|65002|198.51.100.0/24|65002 64999 4200000001|IGP|127.0.0.2|0|70|65002:7|NAG||',
        'BGP4MP_ET|A|127.0.0.2|65002|198.51.100.0/24|65002|IGP|127.0.0.2|0|0||NAG||',
      ],
    )
    // Six is Established, one is Idle.
    const states = ofLeft.filter((line) => line.startsWith('BGP4MP_ET|STATE')).map((line) => line.split('|').slice(-2))
    deepEqual(
      states.filter((change) => change.includes('6')),
      [
        ['5', '6'],
        ['6', '1'],
      ],
    )
    match(reason ?? '', /closed|reset/)
  })
})
