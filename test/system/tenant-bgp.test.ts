/**
 * Tenants' routers that speak BGP with the gateway, through all of it: edge switch, forwarding node, routing node, control
 * module, and back into every FIB. The routers are BIRD, and packets are real.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Gateway } from '../../lab/gateway.ts'
import { needs } from '../../lab/needs.ts'
import { UP } from '../../lab/observe.ts'
import type { BgpOrigination } from '../../lab/peers/bgp-router.ts'
import type { Bird } from '../../lab/peers/bird.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import { planTraffic } from '../../lab/traffic/plan.ts'
import type { Traffic } from '../../lab/traffic/traffic.ts'
import { failedConnections, type Quiet, sumOf, underTraffic, until } from './under-traffic.ts'

const SITE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')
/** Two routing nodes, and customers that speak IPv6. */
const SITE_OF_TWO = resolve(import.meta.dirname, '../../examples/two-tenants-ipv6.yaml')
const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const REACH_ms = 20_000

const plain: BgpOrigination = {
  prefix: '10.5.0.0/16',
  asPath: [],
  origin: 'igp',
  communities: [],
  largeCommunities: [],
}

/** `gatehouse COMMAND ...` on the running site. */
async function gatehouse({ made }: Pick<Quiet, 'made'>, ...words: string[]): Promise<string> {
  const args = ['--disable-warning=ExperimentalWarning', MAIN, ...words, '--run', made.runFolder]
  return await made.lab.run('rn-1', process.execPath, ...args)
}

const stateOf = async (gateway: Gateway, name: string) =>
  (await gateway.observer.sessions()).find((session) => session.name === name)

/** What changes when a session is another one than it was. */
const lives = async (gateway: Gateway) =>
  (await gateway.observer.sessions()).map(({ name, pid, row }) => `${name} ${row?.state} ${pid} ${row?.flaps}`)

/** Answers the routes that customers' kernels have lost since it was called, as `ip monitor` tells them. */
function lostRoutes({ made }: Pick<Quiet, 'made'>): () => readonly string[] {
  const lost: string[] = []
  for (const { namespace } of made.topology.customers)
    for (const family of ['-4', '-6']) {
      const words = [family, 'monitor', 'route']
      const monitor = made.lab.spawn(namespace, 'ip', words, { stdio: ['ignore', 'pipe', 'inherit'] })
      createInterface(monitor.stdout!).on('line', (line) => line.startsWith('Deleted') && lost.push(line))
    }
  return () => [...lost]
}

/** Pings that a busy machine may keep for longer than a second. A route that is gone costs all of them. */
const STRAY_PINGS_PART = 0.02

/** Nobody noticed: no route was gone anywhere, no connection failed, and pings went on. */
function unnoticed(traffic: Traffic, lost: readonly string[]): void {
  deepEqual(lost, [], 'routes that customers lost')
  equal(failedConnections(traffic), 0)
  const [sent, unanswered] = [sumOf(traffic, ({ ping }) => ping.sent), sumOf(traffic, ({ ping }) => ping.lost)]
  ok(unanswered <= sent * STRAY_PINGS_PART, `${unanswered} of ${sent} pings lost`)
}

suite("tenants' BGP through the whole gateway", { skip: needs('ip', 'bird') }, () => {
  test('what a customer announces is reached by its machines, and is gone from the FIBs when it is withdrawn', async () => {
    await using made = await Surroundings.build(SITE)
    const gateway = Gateway.up(made)
    const [acme, globex] = ['acme-dc', 'globex-dc'].map((name) => made.routers.get(name) as Bird)
    try {
      await gateway.whenReady()
      deepEqual(await reach(made.lab, planTraffic(made.topology).pings, { timeout_ms: REACH_ms }), [])
      const via = '192.168.1.2 on acme-dc'
      equal((await gateway.observer.routes('acme')).get('10.1.0.0/16'), via)
      deepEqual(
        (await acme!.table('ipv4')).map(({ prefix, nextHop, asPath }) => `${prefix} ${nextHop} ${asPath}`).sort(),
        ['172.16.0.5/32 192.168.1.1 65001', '172.16.0.6/32 192.168.1.1 65001'],
        'the VPC’s machines',
      )

      // A policy that is reloaded lets more in, and no session notices.
      const before = await lives(gateway)
      const wider = readFileSync(made.siteFile, 'utf8').replace('10.1.0.0/16', '10.0.0.0/8, 10.1.0.0/16, 10.5.0.0/16')
      writeFileSync(`${made.lab.folder}/wider.yaml`, wider)
      match(await gatehouse({ made }, 'reload', `${made.lab.folder}/wider.yaml`), /settings changed/)
      await acme!.announce([plain])
      await made.lab.run('acme-dc', 'ip', 'addr', 'add', '10.5.0.1/32', 'dev', 'lo')
      const ping = { tenant: 'acme', namespace: 'acme-prod-web', to: '10.5.0.1' }
      deepEqual(await reach(made.lab, [ping], { timeout_ms: REACH_ms }), [])
      equal((await gateway.observer.routes('acme')).get('10.5.0.0/16'), via)
      equal((await gateway.observer.routes('globex')).has('10.5.0.0/16'), false)
      deepEqual(await lives(gateway), before)

      await acme!.withdraw(['10.5.0.0/16'])
      await until('the route is gone', async () => !(await gateway.observer.routes('acme')).has('10.5.0.0/16'))
      deepEqual(await reach(made.lab, [ping], { timeout_ms: 1000 }), [ping])
      const dropped = (await gateway.observer.modules()).map(({ tenants }) => tenants['acme']?.['no-route'] ?? 0)
      ok(
        dropped.some((count) => count > 0),
        'a forwarding node had no route',
      )
      equal((await globex!.table('ipv4')).length, 2)

      const shown = JSON.parse(await gatehouse({ made }, 'show', 'sessions', 'acme', '--json'))
      deepEqual(
        shown.map(({ module, name, state }: Record<string, string>) => ({ module, name, state })),
        [{ module: 'rn-1', name: 'acme-dc', state: UP }],
      )
    } catch (error) {
      throw new Error(gateway.lastLines(), { cause: error })
    } finally {
      await gateway.stop()
    }
  })

  test('a routing node is killed: traffic goes on, routes stay, and sessions come back by themselves', async (t) => {
    let gone = 0
    let lost: readonly string[] = []
    const traffic = await underTraffic({
      async during({ made, gateway }) {
        const lostSoFar = lostRoutes({ made })
        const { pid } = (await stateOf(gateway, 'acme-dc'))!
        ok(pid)
        process.kill(pid, 'SIGKILL')
        const killed = performance.now()
        const isBack = async (): Promise<boolean> => {
          for (const tenant of ['acme', 'globex'])
            if (!(await gateway.observer.routes(tenant)).has('10.1.0.0/16')) gone++
          const sessions = await gateway.observer.sessions()
          return sessions.every((session) => session.row?.state === UP && session.pid !== pid)
        }
        await until('sessions are up again', isBack)
        t.diagnostic(`sessions were back after ${Math.round(performance.now() - killed)} ms`)
        // Until it has said all again, and for a while after.
        for (let i = 0; i < 100; i++) {
          await isBack()
          await sleep(50)
        }
        lost = lostSoFar()
      },
    })
    equal(gone, 0, 'routes were withdrawn meanwhile')
    unnoticed(traffic, lost)
  })

  test('sessions of a routing node that stands still move to the other one and back, and traffic goes on', async (t) => {
    let lost: readonly string[] = []
    const traffic = await underTraffic({
      build: () => Surroundings.build(SITE_OF_TWO),
      async during({ made, gateway }) {
        const lostSoFar = lostRoutes({ made })
        const before = await gateway.observer.sessions()
        const spread = Map.groupBy(before, ({ pid }) => pid)
        equal(spread.size, 2, 'both routing nodes have sessions')
        const [pid, moved] = [...spread][0]!
        ok(pid)
        const names = new Set(moved.map(({ name }) => name))
        const areUp = async (where: (now: number | undefined) => boolean): Promise<boolean> =>
          (await gateway.observer.sessions()).every(
            ({ name, row, pid: now }) => row?.state === UP && (!names.has(name) || where(now)),
          )
        const began = performance.now()
        process.kill(pid, 'SIGSTOP')
        try {
          await until('its sessions are with the other node', () => areUp((now) => now !== pid))
          t.diagnostic(`moved after ${Math.round(performance.now() - began)} ms`)
          await sleep(2000)
        } finally {
          process.kill(pid, 'SIGCONT')
        }
        await until('they are back', () => areUp((now) => now === pid))
        await sleep(2000)
        const others = (await gateway.observer.sessions()).filter(({ name }) => !names.has(name))
        deepEqual(
          others,
          before.filter(({ name }) => !names.has(name)).map((one, i) => ({ ...one, row: others[i]?.row })),
        )
        ok(others.every(({ row }) => row?.flaps === 0))
        lost = lostSoFar()
      },
    })
    unnoticed(traffic, lost)
  })

  test('where there is no BIRD customers run our own speaker', async () => {
    const traffic = await underTraffic({
      build: () => Surroundings.build(SITE_OF_TWO, { shape: { routersInstall: false } }),
      during: async ({ gateway }) => {
        const via = 'fd00:192:168:1::2 on acme-dc'
        equal((await gateway.observer.routes('acme')).get('fd00:10:1::/48'), via)
        deepEqual(
          (await gateway.observer.sessions()).map(({ row }) => `${row?.state} ${row?.flaps}`),
          Array(3).fill(`${UP} 0`),
        )
      },
    })
    equal(failedConnections(traffic), 0)
  })

  test("a dead customer's routes go at once, though its routing node lives", async () => {
    await using made = await Surroundings.build(SITE)
    const gateway = Gateway.up(made)
    try {
      await gateway.whenReady()
      deepEqual(await reach(made.lab, planTraffic(made.topology).pings, { timeout_ms: REACH_ms }), [])
      await (made.routers.get('acme-dc') as Bird).kill()
      const began = performance.now()
      await until('its route is gone', async () => !(await gateway.observer.routes('acme')).has('10.1.0.0/16'))
      ok(performance.now() - began < 5000)
      ok((await gateway.observer.routes('globex')).has('10.1.0.0/16'))
      await (made.routers.get('acme-dc') as Bird).restart()
      await until('its route is there again', async () => (await gateway.observer.routes('acme')).has('10.1.0.0/16'))
    } catch (error) {
      throw new Error(gateway.lastLines(), { cause: error })
    } finally {
      await gateway.stop()
    }
  })
})
