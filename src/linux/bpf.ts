/**
 * bpf(2): maps, programs, and links that hold an XDP program on an interface. Nothing is pinned, so all of it is gone
 * when the process is, however it ends. Programs come from the assembler; a program that the kernel's verifier refuses
 * is our own mistake, and the verifier's log is in the error.
 */

import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { addressOf, Mapping } from './memory.ts'
import { bytes, struct, text, textOf, u32, u64 } from './struct.ts'

const SYS_BPF = process.arch === 'arm64' ? 280 : 321

/** linux/bpf.h, enum bpf_cmd. */
const Command = { mapCreate: 0, lookup: 1, update: 2, delete: 3, load: 5, testRun: 10, linkCreate: 28 } as const

export const MapType = { hash: 1, array: 2, xskmap: 17 } as const

const BPF_F_MMAPABLE = 1 << 10
const BPF_PROG_TYPE_XDP = 6
const BPF_XDP = 37
const BPF_F_XDP_HAS_FRAGS = 1 << 5
const XDP_FLAGS_SKB_MODE = 1 << 1
const XDP_FLAGS_DRV_MODE = 1 << 2

/** Holds the verifier's log of the longest of our programs several times over. */
const LOG_BYTES = 1 << 20

// union bpf_attr, linux/bpf.h, an arm each.
const mapCreateAttr = struct('BPF_MAP_CREATE', {
  type: u32,
  keyBytes: u32,
  valueBytes: u32,
  entries: u32,
  flags: u32,
  innerMap: u32,
  numaNode: u32,
  name: text(16),
})
const mapElementAttr = struct('BPF_MAP_*_ELEM', { map: u32, key: u64, value: u64, flags: u64 })
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
const testRunAttr = struct('BPF_PROG_TEST_RUN', {
  program: u32,
  result: u32,
  inputBytes: u32,
  outputBytes: u32,
  input: u64,
  output: u64,
  repeat: u32,
  duration_ns: u32,
  rest: bytes(32),
})
const linkCreateAttr = struct('BPF_LINK_CREATE', {
  program: u32,
  target: u32,
  attachType: u32,
  flags: u32,
  rest: bytes(48),
})

/** Buffers that an attribute points to must be reachable until the call is over: they are its arguments here. */
function bpf(command: number, attr: Uint8Array, ..._pointedTo: unknown[]): number {
  return libc.syscall(SYS_BPF, command, attr, attr.length)
}

export class BpfMap {
  readonly fd: number
  readonly #keyBytes: number
  readonly #valueBytes: number

  /** `mapped`: an array's value may be seen without a call, by `mapValue`. */
  constructor(name: string, type: number, keyBytes: number, valueBytes: number, entries: number, mapped = false) {
    const flags = mapped ? BPF_F_MMAPABLE : 0
    const attr = mapCreateAttr.make({ type, keyBytes, valueBytes, entries, flags, name })
    this.fd = must('bpf(BPF_MAP_CREATE)', bpf(Command.mapCreate, attr))
    this.#keyBytes = keyBytes
    this.#valueBytes = valueBytes
  }

  /** The value of a map of one, as programs change it. */
  mapValue(): Mapping {
    return new Mapping(this.fd, 0, this.#valueBytes)
  }

  set(key: Uint8Array, value: Uint8Array): void {
    must('bpf(BPF_MAP_UPDATE_ELEM)', this.#element(Command.update, key, value), { E2BIG: 'the map is full' })
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const value = new Uint8Array(this.#valueBytes)
    return this.#element(Command.lookup, key, value) < 0 ? undefined : value
  }

  /** False if the key was not there. */
  delete(key: Uint8Array): boolean {
    return this.#element(Command.delete, key) === 0
  }

  close(): void {
    closeDescriptor(this.fd)
  }

  #element(command: number, key: Uint8Array, value?: Uint8Array): number {
    const pinnedKey = pinned(key, this.#keyBytes)
    const pinnedValue = value && pinned(value, this.#valueBytes)
    const attr = mapElementAttr.make({
      map: this.fd,
      key: addressOf(pinnedKey),
      value: pinnedValue ? addressOf(pinnedValue) : 0,
    })
    const result = bpf(command, attr, pinnedKey, pinnedValue)
    if (result === 0 && command === Command.lookup) value?.set(pinnedValue!)
    return result
  }
}

/** A copy that the garbage collector does not move, for its address goes into a structure. */
function pinned(from: Uint8Array, length = from.length): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(length))
  copy.set(from)
  return copy
}

const LICENSE = pinned(Buffer.from('Apache-2.0\0'))

export class XdpProgram {
  readonly fd: number
  readonly multiBuffer: boolean

  /**
   * `code` is what the assembler gave. With `multiBuffer` it must take frames of several buffers, as jumbo frames are;
   * the kernel has that since Linux 5.18, and AF_XDP sockets for it since 6.6.
   */
  constructor(name: string, code: Uint8Array, { multiBuffer = true } = {}) {
    this.multiBuffer = multiBuffer
    const pinnedCode = pinned(code)
    const values = {
      type: BPF_PROG_TYPE_XDP,
      instructions: code.length / 8,
      code: addressOf(pinnedCode),
      license: addressOf(LICENSE),
      flags: multiBuffer ? BPF_F_XDP_HAS_FRAGS : 0,
      name,
    }
    let fd = -1
    for (let tries = 0; fd < 0 && tries < LOAD_TRIES; tries++) {
      fd = bpf(Command.load, loadAttr.make(values), pinnedCode)
      if (fd < 0 && errno() !== LinuxError.numberOf('EAGAIN')) break
    }
    if (fd < 0) throw refused(errno(), values, pinnedCode)
    this.fd = fd
  }

  /** Runs the program on a frame without a device and returns its verdict. */
  test(frame: Uint8Array): number {
    const input = pinned(frame)
    const attr = testRunAttr.make({ program: this.fd, inputBytes: frame.length, input: addressOf(input), repeat: 1 })
    must('bpf(BPF_PROG_TEST_RUN)', bpf(Command.testRun, attr, input))
    return testRunAttr.read(attr).result
  }

  close(): void {
    closeDescriptor(this.fd)
  }
}

/** The verifier stops with EAGAIN when a signal arrives, which one of Node's threads may send another at any time. */
const LOAD_TRIES = 20

const VERIFIER = "the kernel's verifier refused the program"

/** Loads once more, only to have the verifier say why not. */
function refused(error: number, values: Parameters<typeof loadAttr.make>[0], code: Uint8Array): LinuxError {
  const log = new Uint8Array(new SharedArrayBuffer(LOG_BYTES))
  bpf(Command.load, loadAttr.make({ ...values, logLevel: 1, logBytes: LOG_BYTES, log: addressOf(log) }), code, log)
  const advice = { EINVAL: VERIFIER, EACCES: VERIFIER }
  return new LinuxError('bpf(BPF_PROG_LOAD)', error, advice, textOf(log))
}

export type XdpMode = 'driver' | 'generic'

/** A program on an interface, until it is closed or the process ends. */
export class XdpLink {
  readonly fd: number
  /** `driver` runs before a packet has an skb; `generic` works on every device and is slow. */
  readonly mode: XdpMode

  constructor(program: XdpProgram, interfaceIndex: number) {
    const driver = attach(program, interfaceIndex, XDP_FLAGS_DRV_MODE)
    // The generic hook would take the program and its sockets none of the large frames.
    if (driver < 0 && !program.multiBuffer && errno() === LinuxError.numberOf('ERANGE'))
      must('bpf(BPF_LINK_CREATE)', driver, ADVICE)
    this.mode = driver >= 0 ? 'driver' : 'generic'
    this.fd =
      driver >= 0 ? driver : must('bpf(BPF_LINK_CREATE)', attach(program, interfaceIndex, XDP_FLAGS_SKB_MODE), ADVICE)
  }

  close(): void {
    closeDescriptor(this.fd)
  }
}

/**
 * A page less XDP's headroom (256), what the kernel keeps behind (320), and an Ethernet header with two VLAN tags (22).
 */
const SINGLE_BUFFER_MTU_MAX = 4096 - 256 - 320 - 22

const ADVICE = {
  EBUSY: 'another XDP program is on this interface; `ip link set DEV xdp off` removes one left by hand',
  ERANGE: `without multi-buffer AF_XDP (Linux 6.6) an interface and its peer have an MTU of at most ${SINGLE_BUFFER_MTU_MAX}`,
}

/**
 * Throws where a single buffer does not hold what the interface takes: the kernel would drop it in the generic hook.
 */
export function checkSingleBufferMtu(mtu: number): void {
  if (mtu > SINGLE_BUFFER_MTU_MAX) throw new LinuxError('bpf(BPF_LINK_CREATE)', LinuxError.numberOf('ERANGE'), ADVICE)
}

function attach(program: XdpProgram, target: number, flags: number): number {
  return bpf(Command.linkCreate, linkCreateAttr.make({ program: program.fd, target, attachType: BPF_XDP, flags }))
}
