import { deepEqual, equal } from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatAddress, parseAddress } from '../base/address.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { UdpSocket } from '../linux/socket.ts'
import { WireEcho } from './wire-echo.ts'

const address = (text: string) => parseAddress(text)!
const [HERE, THERE] = [address('10.9.0.1'), address('10.9.0.2')]

/** Two hosts on a wire; the other one forwards packets or does not. */
async function scene(forwards: boolean) {
  const network = new ScratchNetwork()
  const [here, there] = [network.namespace(), network.namespace()]
  network.wire(
    { namespace: here, name: 'wire', addresses: ['10.9.0.1/24'] },
    { namespace: there, name: 'wire', addresses: ['10.9.0.2/24'] },
  )
  withNamespace(there, () => {
    for (const [name, value] of [
      ['ip_forward', forwards ? 1 : 0],
      ['conf/all/rp_filter', 0],
      ['conf/wire/rp_filter', 0],
    ])
      writeFileSync(`/proc/sys/net/ipv4/${name}`, `${value}`)
  })
  const came: string[] = []
  let wake = (): void => {}
  const heard = (packet: Uint8Array): void => {
    came.push(Buffer.from(packet).toString())
    wake()
  }
  let wire = withNamespace(here, () => WireEcho.open(HERE, heard))
  for (; !wire; wire = withNamespace(here, () => WireEcho.open(HERE, heard))) await sleep(20)
  wire.meet(THERE)
  const until = async (count: number): Promise<void> => {
    while (came.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  /** The other end's control packet, by which its MAC address is known. Resolves once it is. */
  const control = async (ttl = 255): Promise<void> => {
    const socket = withNamespace(there, () => new UdpSocket({ address: THERE, port: 0 }, { ttl }))
    const listener = withNamespace(here, () => new UdpSocket({ address: HERE, port: 3784 }))
    socket.send(new Uint8Array(24), { address: HERE, port: 3784 })
    while (!listener.receive()) await new Promise((resolve) => setImmediate(resolve))
    wire.receive()
    socket.close()
    listener.close()
  }
  return {
    ...{ wire, came, control, until, here, there },
    [Symbol.dispose]() {
      wire.close()
      network[Symbol.dispose]()
    },
  }
}

suite('echo packets over IPv4', { skip: unprivileged }, () => {
  test('come back from a peer that forwards packets, once its control packets have been seen', async () => {
    using hosts = await scene(true)
    hosts.wire.send(THERE, Buffer.from('too early'))
    await hosts.control()
    hosts.wire.send(THERE, Buffer.from('one'))
    hosts.wire.send(THERE, Buffer.from('two'))
    await hosts.until(2)
    deepEqual(hosts.came, ['one', 'two'])
  })

  test('of a peer are told of, and go back to it where that is wanted, though our kernel forwards nothing', async () => {
    using hosts = await scene(false)
    await hosts.control()
    const told: string[] = []
    // The kernel says a moment later that the wire works.
    const open = (): WireEcho | undefined =>
      withNamespace(hosts.there, () =>
        WireEcho.open(THERE, (_, from) => {
          told.push(formatAddress(from))
          if (told.length > 1) other!.giveBack()
        }),
      )
    let other = open()
    for (; !other; other = open()) await sleep(20)
    hosts.wire.send(THERE, Buffer.from('hello'))
    hosts.wire.send(THERE, Buffer.from('again'))
    await hosts.until(1)
    deepEqual([told, hosts.came], [['10.9.0.1', '10.9.0.1'], ['again']])
    other.close()
  })

  test("take a peer's MAC address from the wire itself, and not from what a router has passed on", async () => {
    using hosts = await scene(true)
    await hosts.control(64)
    hosts.wire.send(THERE, Buffer.from('where to?'))
    await hosts.control()
    hosts.wire.send(THERE, Buffer.from('there'))
    await hosts.until(1)
    deepEqual(hosts.came, ['there'])
  })

  test('say when their device is gone', async () => {
    using hosts = await scene(true)
    await hosts.control()
    equal(hosts.wire.send(THERE, Buffer.from('there')), true)
    ip('-n', hosts.here, 'link', 'delete', 'wire')
    equal(
      withNamespace(hosts.here, () => hosts.wire.send(THERE, Buffer.from('gone'))),
      false,
    )
  })

  test('have no wire where the address is on none', () => {
    using network = new ScratchNetwork()
    const namespace = network.namespace()
    equal(
      withNamespace(namespace, () => WireEcho.open(address('127.0.0.1'), () => {})),
      undefined,
    )
  })
})
