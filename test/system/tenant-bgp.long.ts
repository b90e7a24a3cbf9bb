/**
 * Tenants' BGP through the whole gateway, with two routing nodes, and without BIRD: what takes longer than each change is
 * worth.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../../lab/needs.ts'
import { UP } from '../../lab/observe.ts'
import type { Bird } from '../../lab/peers/bird.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { Surroundings } from '../../lab/site.ts'
import { failedConnections, underTraffic, until, withSite } from './live-site.ts'
import { surroundingsOf } from './site-of.ts'
import { gatehouse, lostRoutes, SITE, SITE_OF_TWO, stateOf, unnoticed } from './tenant-routers.ts'

suite("tenants' BGP through the whole gateway", { skip: needs('ip', 'bird', 'vtysh') }, () => {
  test('sessions of a routing node that stands still move to the other one and back, and traffic goes on', async (t) => {
    await withSite({ build: () => Surroundings.build(SITE_OF_TWO) }, async (site) => {
      const { made, gateway } = site
      let lost: readonly string[] = []
      const traffic = await underTraffic(site, async () => {
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
      })
      unnoticed(traffic, lost)
    })
  })

  test('sessions with BFD of a second outlive either path, both ways', async () => {
    const text = readFileSync(SITE, 'utf8').replaceAll(
      'hold_time_s: 30,',
      'hold_time_s: 30, bfd: { interval_ms: 100, multiplier: 10 },',
    )
    await withSite({ build: () => surroundingsOf(text) }, async ({ made, gateway }) => {
      const states = async (): Promise<string[]> =>
        (await gateway.observer.sessions()).map(({ row }) => `${row?.state} ${row?.bfd} ${row?.flaps}`)
      const isUp = async (): Promise<boolean> => (await states()).every((state) => state === `${UP} up 0`)
      await until('BFD is up', isUp)
      for (const path of ['path-a', 'path-b']) {
        const set = (state: 'up' | 'down') =>
          execFileSync('ip', ['-n', made.lab.fullName('edge-1'), 'link', 'set', path, state])
        set('down')
        await sleep(3000)
        deepEqual(await states(), Array(2).fill(`${UP} up 0`), path)
        set('up')
        await sleep(3000)
      }
      deepEqual(await states(), Array(2).fill(`${UP} up 0`))
    })
  })

  test("a customer that forwards sends BFD's echo packets back, and is down when it does not", async () => {
    const text = readFileSync(SITE, 'utf8').replace(
      /(name: acme-dc, .* hold_time_s: 30,)/,
      '$1 bfd: { interval_ms: 100, multiplier: 5, echo: true },',
    )
    await withSite({ build: () => surroundingsOf(text) }, async ({ made, gateway }) => {
      // BIRD has no echo.
      await (made.routers.get('acme-dc') as Bird).kill()
      const [local, remote] = ['192.168.1.2', '192.168.1.1']
      await made.lab.run('acme-dc', 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
      const frr = await Frr.start({
        ...{ lab: made.lab, namespace: 'acme-dc', name: 'acme-frr', as: 65_010, routerId: local },
        nextHops: { ipv4: local, ipv6: '::1' },
        neighbours: [{ local, remote, as: 65_001, families: ['ipv4'], extra: ['bfd profile echo'] }],
        bfd: [
          ...['bfd', ' profile echo', '  detect-multiplier 5', '  transmit-interval 100', '  receive-interval 100'],
          ...['  echo-mode', '  echo transmit-interval 100', '  echo receive-interval 100'],
        ],
      })
      const row = async () => (await stateOf(gateway, 'acme-dc'))?.row
      await until('BFD is up', async () => (await row())?.bfd === 'up' && (await row())?.state === UP)
      const { flaps } = (await row())!
      // Echoes that went astray would end it within half a second.
      await sleep(3000)
      deepEqual([(await row())?.bfd, (await row())?.flaps], ['up', flaps])
      const [session] = JSON.parse(await frr.bfdCommand('show bfd peers json'))
      ok(session['remote-echo-receive-interval'] > 0)

      await made.lab.run('acme-dc', 'sysctl', '-qw', 'net.ipv4.ip_forward=0')
      await until('BFD is down', async () => (await row())?.flaps === flaps! + 1)
    })
  })

  test("a static route lasts as long as a probe in the tenant's network is answered, and no other tenant's", async () => {
    const probe = (tenant: string): string =>
      `    - { name: ${tenant}-router, tenant: ${tenant}, to: 192.168.1.2, icmp: {}, interval_ms: 100, timeout_ms: 300 }\n`
    const route = (tenant: string): string =>
      `\n    routes: [{ prefix: 10.77.0.0/16, via: [192.168.1.2], track: ${tenant}-router }]`
    const text = readFileSync(SITE, 'utf8')
      .replace('vni: 1001\n', (vni) => `${vni.trimEnd()}${route('acme')}\n`)
      .replace('vni: 1002\n', (vni) => `${vni.trimEnd()}${route('globex')}\n`)
      .replace('  prefix_lists:\n', (lists) => `  probes:\n${probe('acme')}${probe('globex')}${lists}`)
    await withSite({ build: () => surroundingsOf(text) }, async ({ made, gateway }) => {
      const hasRoute = async (tenant: string) => (await gateway.observer.routes(tenant)).has('10.77.0.0/16')
      const answers = async (isSo: boolean): Promise<void> => {
        await made.lab.run('acme-dc', 'sysctl', '-qw', `net.ipv4.icmp_echo_ignore_all=${isSo ? 0 : 1}`)
        await until(`acme's router ${isSo ? 'answers' : 'is silent'}`, async () => (await hasRoute('acme')) === isSo)
        ok(await hasRoute('globex'))
      }
      const shown = async () => JSON.parse(await gatehouse({ made }, 'show', 'probes', '--json'))
      await until('both are up', async () => {
        const states = (await shown()).map(({ name, state }: Record<string, string>) => `${name} ${state}`)
        return ['acme-router up', 'globex-router up'].every((state) => states.includes(state))
      })
      await answers(true)
      await answers(false)
      await answers(true)
    })
  })

  test('where there is no BIRD customers run our own speaker', async () => {
    const build = () => Surroundings.build(SITE_OF_TWO, { shape: { routersInstall: false } })
    await withSite({ build }, async (site) => {
      const { observer } = site.gateway
      const traffic = await underTraffic(site, async () => {
        const via = 'fd00:192:168:1::2 on acme-dc'
        equal((await observer.routes('acme')).get('fd00:10:1::/48'), via)
        deepEqual(
          (await observer.sessions()).map(({ row }) => `${row?.state} ${row?.flaps}`),
          Array(3).fill(`${UP} 0`),
        )
      })
      equal(failedConnections(traffic), 0)
    })
  })
})
