import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress, parseAddress } from '../../base/address.ts'
import type { BfdStateName } from '../../bfd/session.ts'
import type { BfdNews, BfdPeer, BfdPeerOptions } from '../../bfd/speaker.ts'
import { bfd as schema } from '../../config/probe.ts'
import { bfdOptionsOf } from './bfd-options.ts'
import { NeighbourBfd } from './neighbour-bfd.ts'

function scene() {
  const opened: { peer: BfdPeer; options: BfdPeerOptions }[] = []
  const closed: string[] = []
  const failed: string[] = []
  const told: string[] = []
  let tell: (news: BfdNews) => void = () => {}
  const watching = new NeighbourBfd({
    bfd(news) {
      tell = news
      return {
        open(peer, options) {
          opened.push({ peer, options })
          return { state: 'down', close: () => void closed.push(formatAddress(peer.remote)) }
        },
        stop() {},
      }
    },
    failed: (remote, reason) => void failed.push(`${formatAddress(remote)} ${reason}`),
    told({ name, state, reason, isPeerDown }) {
      told.push(`${name} ${state} ${reason}${isPeerDown ? ', on purpose' : ''}`.trim())
    },
  })
  const news = (state: BfdStateName, over: Partial<BfdNews> = {}): void =>
    tell({ peer: opened[0]!.peer, state, diagnostic: 'none', isPeerDown: false, ...over })
  const watch = (settings = {}, local = '10.0.0.1'): void =>
    watching.watch({
      name: 'transit',
      settings: schema.parse(settings),
      local: parseAddress(local)!,
      remote: parseAddress('10.0.0.2')!,
    })
  return { watching, watch, news, opened, closed, failed, told }
}

suite('BFD beside BGP', () => {
  test('ends the session of a neighbour whose path breaks, with the reason', () => {
    const { watch, news, failed, told } = scene()
    watch()
    news('init')
    news('up')
    news('down', { diagnostic: 'detectionTimeExpired' })
    deepEqual(failed, ['10.0.0.2 nothing came within the detection time'])
    deepEqual(told, [
      'transit down no packet has come yet',
      'transit init no packet has come yet',
      'transit up',
      'transit down nothing came within the detection time',
    ])
  })

  test('ends none when the peer ends BFD on purpose, nor while it was never up', () => {
    const { watch, news, failed, told } = scene()
    watch()
    news('init')
    news('down', { diagnostic: 'detectionTimeExpired' })
    news('up')
    news('down', { diagnostic: 'neighbourSignalledDown', isPeerDown: true })
    deepEqual(failed, [])
    equal(told.at(-1), 'transit down the peer has ended it, on purpose')
  })

  test('watches a neighbour once, and no longer than it is held', () => {
    const { watching, watch, news, opened, closed, told } = scene()
    watch()
    watch()
    equal(opened.length, 1)
    watching.leave(parseAddress('10.0.0.2')!)
    watching.leave(parseAddress('10.0.0.2')!)
    deepEqual(closed, ['10.0.0.2'])
    news('up')
    deepEqual(told, ['transit down no packet has come yet', 'transit left'])
  })

  test('begins anew from another address of ours, and with other settings', () => {
    const { watch, news, opened, closed, told } = scene()
    watch()
    watch({}, '10.0.0.9')
    watch({ interval_ms: 50 }, '10.0.0.9')
    deepEqual(
      opened.map(({ peer, options }) => `${formatAddress(peer.local)} ${options.desiredMinTx_us}`),
      ['10.0.0.1 300000', '10.0.0.9 300000', '10.0.0.9 50000'],
    )
    equal(closed.length, 2)
    const before = told.length
    news('down', { diagnostic: 'administrativelyDown' })
    equal(told.length, before, 'of the first one')
  })

  test('takes timers, hops, echo and keys from the site file', () => {
    const { watch, opened } = scene()
    watch({
      interval_ms: 50,
      multiplier: 5,
      multihop: true,
      authentication: { type: 'meticulous-sha1', key: 'secret' },
    })
    const { peer, options } = opened[0]!
    equal(peer.isMultihop, true)
    deepEqual(options, {
      role: 'active',
      ...{ desiredMinTx_us: 50_000, requiredMinRx_us: 50_000, detectMultiplier: 5 },
      ...{ desiredEchoTx_us: 0, requiredMinEchoRx_us: 0 },
      authentication: { type: 'meticulousSha1', keyId: 1, key: Buffer.from('secret') },
    })
    const { desiredEchoTx_us, requiredMinEchoRx_us } = bfdOptionsOf(schema.parse({ echo: true }))
    deepEqual([desiredEchoTx_us, requiredMinEchoRx_us], [300_000, 300_000])
  })
})
