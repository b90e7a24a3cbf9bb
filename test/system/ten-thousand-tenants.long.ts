/**
 * Ten thousand tenants' sessions from another process, in VXLAN, with the same inner addresses and 9 s hold time: they come
 * up within a minute on two cores, and none flaps while a million routes come and go. TENANTS, CHURN_S, CHANGES (routes a
 * second) and PROFILE (a folder for the crowd's --cpu-prof) change the run.
 */

import { equal, ok } from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CrowdSetup, CrowdState, ToCrowd } from '../../lab/crowd/crowd.ts'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

const TENANTS = Number(process.env['TENANTS'] ?? 10_000)
const CHURN_S = Number(process.env['CHURN_S'] ?? 120)
const UP_WITHIN_S = 60
const ROUTES = 100
/** All of a million routes every ten seconds. */
const CHANGES_PER_S = Number(process.env['CHANGES'] ?? 100_000)
const HOLD_TIME_S = 9
const LOOK_MS = 50
const GIVE_UP_MS = 180_000

const NODE = '10.0.3.1'
const VIP = '10.0.3.254'
const GATEWAY = '192.168.1.1'
const ROUTER = '192.168.1.2'

/** A port has 4,094 VLANs. */
const SWITCHES = ['edge-1', 'edge-2', 'edge-3']

function siteOf(tenants: number): object {
  const numbers = Array.from({ length: tenants }, (_, i) => i + 1)
  return {
    site: 'ten-thousand',
    vips: [{ name: 'v1', address: VIP }],
    clusters: [{ name: 'blue', vips: ['v1'], nodes: [{ name: 'fn-1', address: '10.0.3.253', ports: ['rack'] }] }],
    switches: SWITCHES.map((name, i) => ({
      name,
      address: `10.0.3.${250 + i}`,
      uplinks: [`up-${i}`],
      ports: [`trunk-${i}`],
    })),
    tenants: numbers.map((number) => ({
      ...{ name: `tenant-${number}`, vni: number, vip: 'v1' },
      connections: [
        {
          ...{ name: 'dc', port: `trunk-${number % SWITCHES.length}`, gateway: [`${GATEWAY}/24`] },
          ...{ switch: SWITCHES[number % SWITCHES.length], vlan: 1 + Math.floor(number / SWITCHES.length) },
        },
      ],
    })),
    routing: {
      ...{ as: 65_001, router_id: '10.0.3.1', nodes: [{ name: 'rt-1', address: NODE }] },
      neighbours: numbers.map((number) => ({
        ...{ name: `router-${number}`, tenant: `tenant-${number}`, address: ROUTER, as: 65_002 },
        hold_time_s: HOLD_TIME_S,
      })),
    },
  }
}

class CrowdProcess {
  readonly #child: ChildProcess
  state: CrowdState = { kind: 'state', up: 0, flaps: 0, announced: 0, withdrawn: 0, last: '' }

  constructor(lab: Lab, setup: CrowdSetup, profile: readonly string[]) {
    const main = resolve(import.meta.dirname, '../../lab/crowd/crowd.ts')
    const words = ['--disable-warning=ExperimentalWarning', ...profile, main, JSON.stringify(setup)]
    this.#child = lab.spawn('crowd', process.execPath, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child.on('message', (state: CrowdState) => {
      this.state = state
    })
  }

  tell(kind: ToCrowd['kind']): void {
    this.#child.send({ kind } satisfies ToCrowd)
  }
}

test(`${TENANTS} tenants' sessions come up and stay up`, { skip: needs('ip') }, async (t) => {
  await using lab = await Lab.open()
  await lab.addNamespaces(['rt', 'crowd'])
  const a = { namespace: 'rt', interface: 'rack', addresses: [`${NODE}/24`] }
  const b = { namespace: 'crowd', interface: 'rack', addresses: [`${VIP}/24`] }
  await lab.addLinks([{ a, b, mtu: 1600, queues: 1 }])
  const profile = process.env['PROFILE']
  const profiled = (name: string): string[] =>
    profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}-\${pid}-\${tid}.cpuprofile`] : []
  const crowd = new CrowdProcess(
    lab,
    {
      ...{ tenants: TENANTS, node: NODE, vip: VIP, gateway: GATEWAY, router: ROUTER },
      ...{
        gatewayAs: 65_001,
        as: 65_002,
        holdTime_s: HOLD_TIME_S,
        routes: ROUTES,
        changes_per_s: CHANGES_PER_S,
        seed: 1,
      },
    },
    profiled('crowd'),
  )
  const routing = await RoutingModule.start(lab, 'rt', JSON.stringify(siteOf(TENANTS)), 'rt-1')
  const ready_ms = performance.now()
  crowd.tell('start')
  while (routing.upCount < TENANTS || crowd.state.up < TENANTS) {
    if (performance.now() - ready_ms > GIVE_UP_MS)
      throw new Error(`${routing.upCount} and ${crowd.state.up} are up: ${crowd.state.last}\n${routing.lastLines()}`)
    await sleep(LOOK_MS)
  }
  const up_s = (performance.now() - ready_ms) / 1000
  t.diagnostic(`${TENANTS} sessions were up after ${up_s.toFixed(1)} s`)
  const told = routing.sessions.length
  crowd.tell('churn')
  await sleep(CHURN_S * 1000)
  crowd.tell('rest')
  const { announced, withdrawn, flaps, last } = crowd.state
  t.diagnostic(`${announced} routes were announced and ${withdrawn} withdrawn in ${CHURN_S} s; ${flaps} flaps ${last}`)
  equal(flaps, 0, last)
  equal(routing.sessions.length - told, 0, JSON.stringify(routing.sessions.slice(told, told + 3)))
  equal(routing.upCount, TENANTS)
  ok(announced >= TENANTS * ROUTES, 'a million routes came and went')
  ok(up_s <= UP_WITHIN_S, `they came up within ${UP_WITHIN_S} s`)
  await routing.stop()
})
