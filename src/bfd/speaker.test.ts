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

interface JoinOptions {
  readonly accept?: BfdPeerOptions
  readonly enabled?: boolean
  readonly told?: (news: BfdNews) => void
}

/** A link that any number of speakers share; packets take a millisecond. */
class Link {
  readonly clock = new ManualClock()
  readonly random = new Random(3)
  readonly transports = new Map<string, BfdTransport>()

  join(own: string, { accept, enabled = true, told }: JoinOptions = {}) {
    const transport: BfdTransport = {
      onPacket: () => {},
      onEcho: () => {},
      sender: (from, to, isMultihop) => ({
        send: (packet) => {
          const copy = packet.slice()
          if (!this.transports.has(from.join())) return
          this.clock.after(1, () => this.transports.get(to.join())?.onPacket(copy, from, to, isMultihop))
        },
        // A fresh one has not been returned yet.
        sendEcho: (packet) => {
          const copy = packet.slice()
          this.clock.after(1, () => this.transports.get(to.join())?.onEcho?.(copy, from, to, true))
        },
        returnEcho: (packet) => {
          const copy = packet.slice()
          this.clock.after(1, () => this.transports.get(to.join())?.onEcho?.(copy, from, to, false))
        },
        close: () => {},
      }),
      drain: () => {},
      close: () => void this.transports.delete(address(own).join()),
    }
    this.transports.set(address(own).join(), transport)
    const news: string[] = []
    const report = (one: BfdNews) => {
      news.push(`${one.peer.remote.at(-1)} ${one.state}`)
      told?.(one)
    }
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

  test('takes leave until the peer would have found out, though a packet is lost, and thrice when it stops', () => {
    const link = new Link()
    const [one, two] = [link.join('10.0.0.1'), link.join('10.0.0.2', { accept: passive })]
    const open = () => one.speaker.open(one.to('10.0.0.2'), active)
    const held = open()
    link.clock.advance(2500)
    equal(two.news.at(-1), '1 up')
    const { onPacket } = two.transport
    let [lost, said] = [0, 0]
    two.transport.onPacket = (packet, ...ends) => {
      said++
      if (lost-- <= 0) onPacket(packet, ...ends)
    }
    lost = 1
    held.close()
    deepEqual(one.speaker.sessions(), [])
    link.clock.advance(2)
    equal(two.news.at(-1), '1 up', 'the first word was lost')
    link.clock.advance(4000)
    equal(two.news.at(-1), '1 down')
    const after = said
    link.clock.advance(10_000)
    equal(said, after, 'and it says nothing any more')

    open().close()
    open()
    link.clock.advance(5000)
    equal(two.news.at(-1), '1 up')
    lost = 2
    one.speaker.stop()
    link.clock.advance(2)
    equal(two.news.at(-1), '1 down')
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

  test('a session over several hops and one over the wire to the same peer are two', () => {
    const link = new Link()
    const left = link.join('10.0.0.1')
    const right = link.join('10.0.0.11')
    for (const isMultihop of [false, true]) {
      left.speaker.open({ ...left.to('10.0.0.11'), isMultihop }, active)
      right.speaker.open({ ...right.to('10.0.0.1'), isMultihop }, active)
    }
    link.clock.advance(2500)
    const states = () => left.speaker.sessions().map(({ peer, state }) => `${peer.isMultihop} ${state}`)
    deepEqual(states(), ['false up', 'true up'])
    right.speaker.open({ ...right.to('10.0.0.1'), isMultihop: true }, active).close()
    link.clock.advance(10)
    deepEqual(states(), ['false up', 'true down'])
  })

  test('a stranger is known by its own address, whatever becomes of the memory that its packet was in', () => {
    const link = new Link()
    const open = link.join('10.0.0.2', { accept: passive })
    const from = address('10.0.0.9')
    open.transport.onPacket(
      build.bfd({ state: 1, myDiscriminator: 9, yourDiscriminator: 0 }),
      from,
      address('10.0.0.2'),
    )
    from.fill(0)
    deepEqual([...open.speaker.sessions()[0]!.peer.remote], [10, 0, 0, 9])
  })

  test('strangers get no session over several hops', () => {
    const link = new Link()
    const open = link.join('10.0.0.2', { accept: passive })
    const packet = build.bfd({ state: 1, myDiscriminator: 9, yourDiscriminator: 0 })
    open.transport.onPacket(packet, address('192.0.2.1'), address('10.0.0.2'), true)
    deepEqual([open.speaker.sessions().length, open.speaker.discarded], [0, 1])
  })

  test('echoes go back to peers that were promised it, and to nobody else', () => {
    const echo = { desiredEchoTx_us: 20_000, requiredMinEchoRx_us: 20_000 }
    const link = new Link()
    const left = link.join('10.0.0.1')
    const right = link.join('10.0.0.11')
    const held = left.speaker.open(left.to('10.0.0.11'), { ...active, ...echo })
    right.speaker.open(right.to('10.0.0.1'), { ...active, ...echo })
    link.clock.advance(4000)
    deepEqual([held.state, held.session.echo_us], ['up', 2000])
    deepEqual([left.speaker.discarded, right.speaker.discarded], [0, 0])
    const stray = new Uint8Array(32)
    right.transport.onEcho!(stray, address('10.0.0.3'), address('10.0.0.11'), true)
    right.transport.onEcho!(stray, address('10.0.0.1'), address('10.0.0.11'), false)
    equal(right.speaker.discarded, 2)
  })

  test('news says when a peer has ended its session on purpose', () => {
    const link = new Link()
    const news: BfdNews[] = []
    const left = link.join('10.0.0.1', { told: (one) => void news.push(one) })
    const right = link.join('10.0.0.11', { accept: passive })
    left.speaker.open(left.to('10.0.0.11'), active)
    link.clock.advance(2500)
    right.speaker.setEnabled(false)
    link.clock.advance(10)
    deepEqual([news.at(-1)!.state, news.at(-1)!.isPeerDown], ['down', true])
    right.speaker.setEnabled(true)
    link.clock.advance(3000)
    right.transport.close()
    link.clock.advance(1000)
    deepEqual([news.at(-1)!.state, news.at(-1)!.isPeerDown], ['down', false])
  })
})
