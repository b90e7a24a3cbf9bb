import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatAddress, formatMac, formatPrefix, parseAddress, parsePrefix } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import { CarrierReader } from './ethtool.ts'
import { setLink } from './link.ts'
import { withNamespace } from './namespace.ts'
import { deleteNeighbour, manageNeighbour, setNeighbour } from './neighbour.ts'
import { type NetworkEvent, NetworkView } from './network-view.ts'
import { replaceRoute } from './route.ts'
import { ip, ScratchNetwork, unprivileged } from './scratch.ts'

const address = (text: string): Uint8Array => parseAddress(text)!

/** Watches `near` of a wire; `told` waits for an event as a line of text. */
class Scene {
  readonly net = new ScratchNetwork()
  readonly here = this.net.namespace()
  readonly there = this.net.namespace()
  readonly lines: string[] = []
  readonly view: NetworkView
  readonly index: number
  #wake = (): void => {}

  constructor() {
    this.net.namespace()
    // A second interface first, so that the wire's two ends have different indices: the kernel then tells carrier at
    // once.
    ip('-n', this.there, 'link', 'add', 'spare', 'type', 'bridge')
    this.net.wire(
      { namespace: this.here, name: 'near', addresses: ['10.9.0.1/24'] },
      { namespace: this.there, name: 'far', addresses: ['10.9.0.2/24'] },
    )
    this.view = withNamespace(this.here, () => new NetworkView(systemClock, (event) => this.#note(event)))
    this.index = [...this.view.links.values()].find(({ name }) => name === 'near')!.index
  }

  #note(event: NetworkEvent): void {
    this.lines.push(line(event))
    this.#wake()
  }

  async told(expected: string): Promise<void> {
    const signal = AbortSignal.timeout(5000)
    while (!this.lines.includes(expected)) {
      const woken = new Promise<void>((wake) => {
        this.#wake = wake
        signal.addEventListener('abort', () => wake())
      })
      await woken
      assert.ok(!signal.aborted, `not told: ${expected}; told:\n${this.lines.join('\n')}`)
    }
    this.lines.splice(0, this.lines.indexOf(expected) + 1)
  }

  [Symbol.dispose](): void {
    this.view.close()
    this.net[Symbol.dispose]()
  }
}

function line({ kind, change, value }: NetworkEvent): string {
  if (kind === 'link')
    return `${change} link ${value.name} ${value.up ? 'up' : 'down'} ${value.carrier ? 'carrier' : 'no-carrier'} ${value.mtu}`
  if (kind === 'address') return `${change} address ${formatAddress(value.address)}`
  if (kind === 'neighbour')
    return `${change} neighbour ${formatAddress(value.address)} ${value.mac && formatMac(value.mac)}`
  return `${change} route ${formatPrefix(value.destination)}`
}

describe('the view of the network', { skip: unprivileged }, () => {
  test('carrier, MTU, addresses and the routes that go with them are told', async () => {
    using scene = new Scene()
    ip('-n', scene.there, 'link', 'set', 'far', 'down')
    const carrier = withNamespace(scene.here, () => new CarrierReader())
    assert.equal(carrier.of('near'), false)
    carrier.close()
    await scene.told('set link near up no-carrier 1500')
    ip('-n', scene.there, 'link', 'set', 'far', 'up')
    await scene.told('set link near up carrier 1500')
    setLink(scene.view.netlink, scene.index, { mtu: 1400 })
    await scene.told('set link near up carrier 1400')
    ip('-n', scene.here, 'address', 'add', '10.8.0.1/24', 'dev', 'near')
    await scene.told('set route 10.8.0.0/24')
    setLink(scene.view.netlink, scene.index, { up: false })
    await scene.told('set link near down no-carrier 1400')
    await scene.told('removed route 10.8.0.0/24')
    ip('-n', scene.here, 'link', 'delete', 'near')
    await scene.told('removed address 10.9.0.1')
    await scene.told('removed link near down no-carrier 1400')
    assert.equal(scene.view.links.size, 1)
  })

  test('a managed neighbour is resolved without traffic, and its new MAC is told', async () => {
    using scene = new Scene()
    manageNeighbour(scene.view.netlink, { interfaceIndex: scene.index, address: address('10.9.0.2') })
    const [, mac] = /link\/ether (\S+)/.exec(ip('-n', scene.there, 'link', 'show', 'far'))!
    await scene.told(`set neighbour 10.9.0.2 ${mac}`)
    const key = { interfaceIndex: scene.index, address: address('10.9.0.2') }
    setNeighbour(scene.view.netlink, key, Uint8Array.of(2, 0, 0, 0, 0, 0x55))
    await scene.told('set neighbour 10.9.0.2 02:00:00:00:00:55')
    deleteNeighbour(scene.view.netlink, key)
    await scene.told('removed neighbour 10.9.0.2 undefined')
  })

  test('after an overrun the view is what the kernel has', async () => {
    using scene = new Scene()
    const { netlink } = scene.view
    const nextHops = [{ interfaceIndex: scene.index, gateway: address('10.9.0.2') }]
    for (let i = 0; i < 5000; i++) setLink(netlink, scene.index, { mtu: 1400 + (i & 1) })
    setLink(netlink, scene.index, { mtu: 1300 })
    replaceRoute(netlink, { destination: parsePrefix('10.50.0.0/16')!, nextHops })
    setNeighbour(
      netlink,
      { interfaceIndex: scene.index, address: address('10.9.0.7') },
      Uint8Array.of(2, 0, 0, 0, 0, 7),
    )
    await scene.told('set link near up carrier 1300')
    await scene.told('set neighbour 10.9.0.7 02:00:00:00:00:07')
    await scene.told('set route 10.50.0.0/16')
    scene.view.update()
    assert.equal(scene.view.links.get(scene.index)!.mtu, 1300)
    assert.deepEqual(scene.lines, [])
  })
})
