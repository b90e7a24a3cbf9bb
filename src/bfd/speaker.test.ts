import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { ManualClock } from '../base/clock.ts'
import { Random } from '../base/random.ts'
import * as build from '../wire/build.ts'
import { defaultBfdTimers } from './session.ts'
import { type BfdNews, type BfdPeer, type BfdPeerOptions, BfdSpeaker } from './speaker.ts'
import type { BfdTransport } from './transport.ts'

const address = (text: string) => parseAddress(text)!
const active: BfdPeerOptions = { ...defaultBfdTimers, role: 'active' }
const passive: BfdPeerOptions = { ...defaultBfdTimers, role: 'passive' }

/** A link that any number of speakers share; packets take a millisecond. */
class Link {
  readonly clock = new ManualClock()
  readonly random = new Random(3)
  readonly transports = new Map<string, BfdTransport>()

  join(own: string, { accept, enabled = true }: { accept?: BfdPeerOptions; enabled?: boolean } = {}) {
    const transport: BfdTransport = {
      onPacket: () => {},
      sender: (from, to) => ({
        send: (packet) => {
          const copy = packet.slice()
          if (!this.transports.has(from.join())) return
          this.clock.after(1, () => this.transports.get(to.join())?.onPacket(copy, from, to))
        },
        close: () => {},
      }),
      drain: () => {},
      close: () => void this.transports.delete(address(own).join()),
    }
    this.transports.set(address(own).join(), transport)
    const news: string[] = []
    const report = ({ peer, state }: BfdNews) => void news.push(`${peer.remote.at(-1)} ${state}`)
    const speaker = new BfdSpeaker({
      transport,
      clock: this.clock,
      random: this.random,
      enabled,
      news: report,
      accept,
    })
    const to = (remote: string): BfdPeer => ({ local: address(own), remote: address(remote) })
    return { speaker, news, to, transport }
  }
}

suite('a BFD speaker', () => {
  test('watches many nodes at once, and one that dies is told apart from the others', () => {
    const link = new Link()
    const rack = link.join('10.0.0.1')
    const nodes = ['10.0.0.11', '10.0.0.12', '10.0.0.13'].map((own) => link.join(own, { accept: passive }))
    for (const own of ['10.0.0.11', '10.0.0.12', '10.0.0.13']) rack.speaker.open(rack.to(own), active)
    link.clock.advance(2500)
    deepEqual(rack.news.filter((line) => line.endsWith('up')).sort(), ['11 up', '12 up', '13 up'])
    rack.news.length = 0
    nodes[1]!.transport.close()
    link.clock.advance(200)
    deepEqual(rack.news, ['12 down'])
  })

  test('a node is up for none of its switches until it is ready, and then for all', () => {
    const link = new Link()
    const node = link.join('10.0.0.11', { accept: passive, enabled: false })
    const racks = [link.join('10.0.0.1'), link.join('10.0.0.2')]
    for (const rack of racks) rack.speaker.open(rack.to('10.0.0.11'), active)
    link.clock.advance(5000)
    deepEqual(
      racks.flatMap(({ news }) => news.filter((line) => line.endsWith('up'))),
      [],
    )
    node.speaker.setEnabled(true)
    link.clock.advance(1100)
    deepEqual(
      racks.map(({ news }) => news.at(-1)),
      ['11 up', '11 up'],
    )
    node.speaker.setEnabled(false)
    link.clock.advance(10)
    deepEqual(
      racks.map(({ news }) => news.at(-1)),
      ['11 down', '11 down'],
    )
  })

  test('opening a session twice is one session, closing it tells the peer', () => {
    const link = new Link()
    const rack = link.join('10.0.0.1')
    const node = link.join('10.0.0.11', { accept: passive })
    equal(rack.speaker.open(rack.to('10.0.0.11'), active), rack.speaker.open(rack.to('10.0.0.11'), active))
    link.clock.advance(2500)
    rack.speaker.open(rack.to('10.0.0.11'), active).close()
    link.clock.advance(5)
    equal(node.news.at(-1), '1 down')
    deepEqual(rack.speaker.sessions(), [])
  })

  test('strangers are refused where none are accepted, and bounded where they are', () => {
    const link = new Link()
    const closed = link.join('10.0.0.1')
    const open = link.join('10.0.0.2', { accept: passive })
    for (let i = 0; i < 200; i++) {
      const packet = build.bfd({ state: 1, myDiscriminator: 9, yourDiscriminator: 0 })
      closed.transport.onPacket(packet, address(`10.1.0.${i}`), address('10.0.0.1'))
      open.transport.onPacket(packet, address(`10.1.0.${i}`), address('10.0.0.2'))
    }
    deepEqual([closed.speaker.sessions().length, closed.speaker.discarded], [0, 200])
    equal(open.speaker.sessions().length, 64)
  })

  test('what is malformed, for no session of ours, or from another address than the peer, is discarded', () => {
    const link = new Link()
    const rack = link.join('10.0.0.1')
    const { session } = rack.speaker.open(rack.to('10.0.0.11'), active)
    const good = build.bfd({ state: 1, myDiscriminator: 9, yourDiscriminator: session.discriminator })
    rack.transport.onPacket(good.subarray(0, 23), address('10.0.0.11'), address('10.0.0.1'))
    rack.transport.onPacket(good, address('10.0.0.12'), address('10.0.0.1'))
    const unknown = build.bfd({ state: 1, myDiscriminator: 9, yourDiscriminator: session.discriminator + 1 })
    rack.transport.onPacket(unknown, address('10.0.0.11'), address('10.0.0.1'))
    deepEqual([rack.speaker.discarded, session.state], [3, 'down'])
    rack.transport.onPacket(good, address('10.0.0.11'), address('10.0.0.1'))
    deepEqual([rack.speaker.discarded, session.state], [3, 'init'])
  })
})
