import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { closeDescriptor, interfaceIndex, libc, must } from './libc.ts'
import { withNamespace } from './namespace.ts'
import { ip, ping, ScratchNetwork, unprivileged } from './scratch.ts'
import { Steering, type SteeringKind, SteeringTables } from './steering.ts'

const options = { skip: unprivileged }
const TAKEN = 4 // XDP_REDIRECT
const LEFT = 2 // XDP_PASS

// An unbound AF_XDP socket is enough for a verdict.
const openSocket = (): number => must('socket', libc.socket(44, 3, 0))

/**
 * The verdict on frames by a program whose queue 0 has a socket, with 192.0.2.1 and 2001:db8::1 as tunnel addresses.
 */
function judge(kind: SteeringKind): (frame: Uint8Array) => number {
  const tables = new SteeringTables([{ protocol: 17, port: 4789 }, { protocol: 47 }])
  for (const address of ['192.0.2.1', '2001:db8::1']) tables.setAddress(parseAddress(address)!, 'tunnel')
  for (const address of ['192.0.2.2', '2001:db8::2']) tables.setAddress(parseAddress(address)!, 'host')
  const steering = new Steering(kind, 1, tables)
  const fd = openSocket()
  steering.setSocket(0, fd)
  after(() => {
    steering.close()
    tables.close()
    closeDescriptor(fd)
  })
  return (frame) => steering.program.test(frame)
}

interface Packet {
  to: string
  protocol?: number
  payload?: number[]
  /** Words of IPv4 options. */
  options?: number
  /** In units of 8 bytes. */
  fragmentOffset?: number
  /** IPv6 extension headers before the payload, by number. */
  extensions?: number[]
}

const vxlan = [0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, ...Array(16).fill(0)]
const dns = [0xc0, 0, 0, 53, 0, 0, 0, 0, ...Array(16).fill(0)]
const UDP = 17
const GRE = 47
const TCP = 6

function frame({
  to,
  protocol = UDP,
  payload = vxlan,
  options = 0,
  fragmentOffset = 0,
  extensions = [],
}: Packet): Uint8Array {
  const address = parseAddress(to)!
  const ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
  if (address.length === 4) {
    const flags = [fragmentOffset >> 8, fragmentOffset & 0xff]
    const head = [0x45 + options, 0, 0, 60, 0, 1, ...flags, 64, protocol, 0, 0, 198, 51, 100, 1, ...address]
    return Uint8Array.from([...ethernet, 8, 0, ...head, ...Array(Math.max(options, 0) * 4).fill(1), ...payload])
  }
  const chain = [...extensions, protocol]
  const headers = extensions.flatMap((kind, i) => {
    const offset = kind === 44 ? fragmentOffset << 3 : 0
    return [chain[i + 1]!, 0, offset >> 8, offset & 0xff, 0, 0, 0, 0]
  })
  const source = parseAddress('2001:db8:ffff::1')!
  const head = [0x60, 0, 0, 0, 0, 60, chain[0]!, 64, ...source, ...address]
  return Uint8Array.from([...ethernet, 0x86, 0xdd, ...head, ...headers, ...payload])
}

const arp = Uint8Array.from([...Array(12).fill(255), 8, 6, ...Array(46).fill(0)])
const lldp = Uint8Array.from([1, 0x80, 0xc2, 0, 0, 14, 2, 0, 0, 0, 0, 2, 0x88, 0xcc, ...Array(46).fill(0)])
const neighbourSolicitation = { protocol: 58, payload: [135, 0, ...Array(22).fill(0)] }
const ping6 = { protocol: 58, payload: [128, 0, ...Array(22).fill(0)] }

type Row = readonly [what: string, frame: Uint8Array, verdict: number]

const node: Row[] = [
  ['VXLAN to a tunnel address', frame({ to: '192.0.2.1' }), TAKEN],
  ['VXLAN to a tunnel address, IPv6', frame({ to: '2001:db8::1' }), TAKEN],
  ['VXLAN behind IPv4 options', frame({ to: '192.0.2.1', options: 10 }), TAKEN],
  ['GRE', frame({ to: '192.0.2.1', protocol: GRE }), TAKEN],
  ['GRE over IPv6', frame({ to: '2001:db8::1', protocol: GRE }), TAKEN],
  ['GRE with an encapsulation limit', frame({ to: '2001:db8::1', protocol: GRE, extensions: [60] }), TAKEN],
  ['a later fragment of UDP', frame({ to: '192.0.2.1', payload: dns, fragmentOffset: 185 }), TAKEN],
  ['a first fragment over IPv6', frame({ to: '2001:db8::1', extensions: [44] }), TAKEN],
  [
    'a later fragment over IPv6',
    frame({ to: '2001:db8::1', payload: dns, extensions: [44], fragmentOffset: 9 }),
    TAKEN,
  ],
  ['a later fragment of TCP', frame({ to: '192.0.2.1', protocol: TCP, fragmentOffset: 185 }), LEFT],
  ['DNS to a tunnel address', frame({ to: '192.0.2.1', payload: dns }), LEFT],
  ['TCP to a tunnel address', frame({ to: '192.0.2.1', protocol: TCP }), LEFT],
  ['VXLAN to an address for the host', frame({ to: '192.0.2.2' }), LEFT],
  ['VXLAN to someone else', frame({ to: '192.0.2.3' }), LEFT],
  ['VXLAN to someone else, IPv6', frame({ to: '2001:db8::3' }), LEFT],
  ['ping over IPv6', frame({ to: '2001:db8::1', ...ping6 }), LEFT],
  ['ARP', arp, LEFT],
  ['an IPv4 header length of 16', frame({ to: '192.0.2.1', options: -1 }), LEFT],
  ['more extension headers than are followed', frame({ to: '2001:db8::1', extensions: [60, 60, 60, 60] }), LEFT],
]

const underlay: Row[] = [
  ['TCP to someone else', frame({ to: '192.0.2.3', protocol: TCP }), TAKEN],
  ['ping to someone else, IPv6', frame({ to: '2001:db8::3', ...ping6 }), TAKEN],
  ['VXLAN to a VTEP of ours', frame({ to: '192.0.2.1' }), TAKEN],
  ['TCP to a VTEP of ours', frame({ to: '192.0.2.1', protocol: TCP }), LEFT],
  ['VXLAN to an address for the host', frame({ to: '192.0.2.2' }), LEFT],
  ['TCP to an address for the host, IPv6', frame({ to: '2001:db8::2', protocol: TCP }), LEFT],
  ['neighbour solicitation', frame({ to: '2001:db8::3', ...neighbourSolicitation }), LEFT],
  ['OSPF hello', frame({ to: '224.0.0.5', protocol: 89 }), LEFT],
  ['IPv6 multicast', frame({ to: 'ff02::5', protocol: 89 }), LEFT],
  ['link-local IPv6', frame({ to: 'fe80::1', protocol: TCP }), LEFT],
  ['broadcast', frame({ to: '255.255.255.255', payload: dns }), LEFT],
  ['ARP', arp, LEFT],
  ['LLDP', lldp, LEFT],
]

const customer: Row[] = [
  ['ARP', arp, TAKEN],
  ['LLDP', lldp, TAKEN],
  ['IPv4', frame({ to: '10.0.0.1', protocol: TCP }), TAKEN],
]

for (const [kind, rows] of Object.entries({ node, underlay, customer })) {
  test(`${kind}: what is ours is taken, what is the host's is left`, options, () => {
    const verdict = judge(kind as SteeringKind)
    for (const [what, packet, expected] of rows) assert.equal(verdict(packet), expected, what)
  })
}

test('a frame cut at any byte is judged, and never taken before its headers are whole', options, () => {
  const verdict = judge('node')
  for (const [whole, headers] of [
    [frame({ to: '192.0.2.1' }), 42],
    [frame({ to: '2001:db8::1', extensions: [60, 44] }), 78],
  ] as const) {
    for (let end = 14; end <= whole.length; end++)
      assert.equal(verdict(whole.subarray(0, end)), end < headers ? LEFT : TAKEN, `${end}`)
  }
})

test('addresses and tunnels change while a program runs', options, () => {
  const tables = new SteeringTables([])
  const steering = new Steering('node', 1, tables)
  const fd = openSocket()
  const mine = parseAddress('192.0.2.1')!
  const verdict = (): number => steering.program.test(frame({ to: '192.0.2.1' }))
  steering.setSocket(0, fd)
  tables.setAddress(mine, 'tunnel')
  assert.equal(verdict(), LEFT)
  tables.addTunnel({ protocol: UDP, port: 4789 })
  assert.equal(verdict(), TAKEN)
  tables.removeAddress(mine)
  assert.equal(verdict(), LEFT)
  tables.setAddress(mine, 'tunnel')
  steering.removeSocket(0)
  assert.equal(verdict(), LEFT)
  steering.close()
  tables.close()
  closeDescriptor(fd)
})

test("a node's own address answers ping while its program is attached, at an MTU of 9,000", options, () => {
  using net = new ScratchNetwork()
  const [near, far] = [net.namespace(), net.namespace()]
  const a = { namespace: near, name: 'port', addresses: ['10.9.0.1/24', '2001:db8::1/64'] }
  const b = { namespace: far, name: 'peer', addresses: ['10.9.0.2/24', '2001:db8::2/64'] }
  net.wire(a, b, { mtu: 9000 })
  const tables = new SteeringTables([{ protocol: UDP, port: 4789 }])
  for (const address of ['10.9.0.1', '2001:db8::1']) tables.setAddress(parseAddress(address)!, 'tunnel')
  const steering = new Steering('node', 1, tables)
  assert.equal(
    withNamespace(near, () => steering.attach(interfaceIndex('port'))),
    'driver',
  )
  for (const to of ['10.9.0.1', '2001:db8::1']) assert.ok(ping(far, to, 8000), to)
  steering.close()
  tables.close()
})

test('a program goes with the process that attached it, kill -9 included', options, async () => {
  using net = new ScratchNetwork()
  const namespace = net.namespace()
  net.wire({ namespace, name: 'port' }, { namespace, name: 'peer' })
  const program = `
    import { interfaceIndex } from '${import.meta.dirname}/libc.ts'
    import { enterNamespace } from '${import.meta.dirname}/namespace.ts'
    import { Steering, SteeringTables } from '${import.meta.dirname}/steering.ts'
    enterNamespace('${namespace}')
    const steering = new Steering('node', 1, new SteeringTables([]))
    steering.attach(interfaceIndex('port'))
    setInterval(() => steering, 1000)
    console.log('attached')`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await once(child.stdout, 'data')
    assert.match(ip('-n', namespace, 'link', 'show', 'port'), /prog\/xdp/)
  } finally {
    child.kill('SIGKILL')
  }
  await once(child, 'exit')
  // The kernel drops the last reference from a work queue, shortly after.
  for (let tries = 0; tries < 100 && ip('-n', namespace, 'link', 'show', 'port').includes('xdp'); tries++);
  assert.doesNotMatch(ip('-n', namespace, 'link', 'show', 'port'), /xdp/)
})
