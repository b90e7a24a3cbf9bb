/**
 * The provider's box between a trunk port and the customers on it: pushes the customer's VLAN tag on the way in and
 * pops it on the way out, as two BPF programs on the box's interfaces (tc's clsact, which every kernel has that has
 * AF_XDP). Kernels without 802.1Q devices have it too, and frames pass in the kernel for a few hundred nanoseconds.
 * What is attached is gone with the box's namespace.
 */

import { Assembler } from '../src/linux/assembler.ts'
import { LinuxError } from '../src/linux/error.ts'
import { closeDescriptor, errno, interfaceIndex, libc, must } from '../src/linux/libc.ts'
import { addressOf } from '../src/linux/memory.ts'
import { withNamespace } from '../src/linux/namespace.ts'
import { encodeBody, Flag, Netlink } from '../src/linux/netlink.ts'
import { bytes, i32, struct, text, u32, u64 } from '../src/linux/struct.ts'
import type { TrunkBox } from './topology.ts'

const SYS_BPF = process.arch === 'arm64' ? 280 : 321
const BPF_PROG_LOAD = 5
const BPF_PROG_TYPE_SCHED_CLS = 3
const EAGAIN = LinuxError.numberOf('EAGAIN')
const LOAD_TRIES = 20
const TC_ACT_SHOT = 2
const Helper = { vlanPush: 18, vlanPop: 19, redirect: 23 } as const

/** struct __sk_buff, linux/bpf.h. */
const VLAN_PRESENT = 20
const VLAN_TCI = 24
const VLAN_ID = 0x0fff
/** The 802.1Q EtherType, 0x8100, in network order as a little-endian machine reads it. */
const ETHERTYPE_VLAN = 0x0081

const loadAttr = struct('BPF_PROG_LOAD', {
  type: u32,
  instructions: u32,
  code: u64,
  license: u64,
  logLevel: u32,
  logBytes: u32,
  log: u64,
  kernelVersion: u32,
  flags: u32,
  name: text(16),
})
/** tc(8), rtnetlink: linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h. */
const Tc = { newQdisc: 36, deleteQdisc: 37, newFilter: 44 } as const
const tcmsg = struct('struct tcmsg', { family: u32, interfaceIndex: i32, handle: u32, parent: u32, info: u32 })
const CLSACT = { handle: 0xffff0000, parent: 0xfffffff1, ingress: 0xfffffff2 } as const
const TcAttribute = { kind: 1, options: 2 } as const
const TcBpf = { program: 6, name: 7, flags: 8 } as const
/** What the program returns is what becomes of the frame. */
const DIRECT_ACTION = 1
/** The first filter, of frames of all protocols: ETH_P_ALL in network order. */
const FIRST_OF_ALL = (1 << 16) | 0x0300

const SIOCETHTOOL = 0x8946
const ETHTOOL_GET_FLAGS = 0x25
const ETHTOOL_SET_FLAGS = 0x26
const ETH_FLAG_TXVLAN = 1 << 7
const ifreq = struct('struct ifreq with ifr_data', { name: text(16), data: u64, rest: bytes(16) })
const ethtoolValue = struct('struct ethtool_value', { command: u32, value: u32 })

/** Needs the namespace `fullName` with the box's interfaces. Returns what takes the programs off again. */
export function attachTrunk(box: TrunkBox, fullName: string): () => void {
  return withNamespace(fullName, () => {
    const trunk = interfaceIndex('trunk')
    const customers = box.customers.map(({ vlan, interface: name }) => ({ vlan, index: interfaceIndex(name) }))
    // Else the tag stays beside the frame, where an XDP program at the other end does not see it.
    tagInFrame('trunk')
    const netlink = new Netlink()
    for (const { vlan, index } of customers) attach(netlink, towardsTrunk(vlan, trunk), index)
    attach(netlink, towardsCustomers(customers), trunk)
    return () => {
      for (const index of [trunk, ...customers.map((customer) => customer.index)]) detach(netlink, index)
      netlink.close()
    }
  })
}

function towardsTrunk(vlan: number, trunk: number): Uint8Array {
  const code = new Assembler()
  if (vlan > 0) code.move('r2', ETHERTYPE_VLAN).move('r3', vlan).call(Helper.vlanPush)
  return code.move('r1', trunk).move('r2', 0).call(Helper.redirect).exit().assemble()
}

/** What has a VLAN that is nobody's is dropped. */
function towardsCustomers(customers: readonly { vlan: number; index: number }[]): Uint8Array {
  const code = new Assembler().move('r6', 'r1').move('r7', 0)
  code.load32('r2', 'r6', VLAN_PRESENT).jumpIf('r2', '==', 0, 'choose')
  code.load32('r7', 'r6', VLAN_TCI).and('r7', VLAN_ID).move('r1', 'r6').call(Helper.vlanPop)
  code.label('choose')
  for (const { vlan, index } of customers)
    code
      .jumpIf('r7', '!=', vlan, `not ${vlan}`)
      .move('r1', index)
      .move('r2', 0)
      .call(Helper.redirect)
      .exit()
      .label(`not ${vlan}`)
  return code.move('r0', TC_ACT_SHOT).exit().assemble()
}

function attach(netlink: Netlink, code: Uint8Array, interfaceIndex: number): void {
  const { handle, parent, ingress } = CLSACT
  const qdisc = tcmsg.make({ interfaceIndex, handle, parent })
  netlink.request(Tc.newQdisc, Flag.create | Flag.exclusive, encodeBody(qdisc, [[TcAttribute.kind, 'clsact']]))
  const program = load(code)
  try {
    const filter = tcmsg.make({ interfaceIndex, parent: ingress, info: FIRST_OF_ALL })
    const options = [
      [TcBpf.program, program],
      [TcBpf.name, 'trunk'],
      [TcBpf.flags, DIRECT_ACTION],
    ] as const
    const attributes = [[TcAttribute.kind, 'bpf'] as const, [TcAttribute.options, options] as const]
    netlink.request(Tc.newFilter, Flag.create | Flag.exclusive, encodeBody(filter, attributes))
  } finally {
    closeDescriptor(program)
  }
}

function detach(netlink: Netlink, interfaceIndex: number): void {
  netlink.request(Tc.deleteQdisc, 0, tcmsg.make({ interfaceIndex, handle: CLSACT.handle, parent: CLSACT.parent }))
}

function load(code: Uint8Array): number {
  const [pinnedCode, license] = [pinned(code), pinned(Buffer.from('Apache-2.0\0'))]
  const attr = loadAttr.make({
    type: BPF_PROG_TYPE_SCHED_CLS,
    instructions: code.length / 8,
    code: addressOf(pinnedCode),
    license: addressOf(license),
    name: 'trunk',
  })
  const again = (): number => libc.syscall(SYS_BPF, BPF_PROG_LOAD, attr, attr.length)
  let program = again()
  // The verifier gives up when a signal comes, which one of Node's threads may send another at any time.
  for (let tries = 1; program < 0 && errno() === EAGAIN && tries < LOAD_TRIES; tries++) program = again()
  return must('bpf(BPF_PROG_LOAD)', program)
}

function tagInFrame(interfaceName: string): void {
  const value = ethtool(interfaceName, ethtoolValue.make({ command: ETHTOOL_GET_FLAGS }))
  const flags = ethtoolValue.read(value).value & ~ETH_FLAG_TXVLAN
  ethtool(interfaceName, ethtoolValue.make({ command: ETHTOOL_SET_FLAGS, value: flags }))
}

function ethtool(interfaceName: string, request: Uint8Array): Uint8Array {
  const shared = pinned(request)
  const fd = must('socket', libc.socket(2, 2, 0))
  try {
    must(
      'ioctl(SIOCETHTOOL)',
      libc.ioctl(fd, SIOCETHTOOL, ifreq.make({ name: interfaceName, data: addressOf(shared) })),
    )
  } finally {
    closeDescriptor(fd)
  }
  return shared
}

/** A copy that stays where it is. */
function pinned(from: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(from.length))
  copy.set(from)
  return copy
}
