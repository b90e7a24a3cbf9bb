/**
 * An assembler for BPF (RFC 9669) in plain method calls: `load8('r2', 'r7', 14)` is `r2 = *(u8 *)(r7 + 14)`, and jumps
 * go to labels. It does what our XDP programs need and is not a compiler: registers are the writer's, r1 to r5 die at
 * each call, r6 to r9 live on, r10 is the stack's end. All arithmetic is 64 bits wide. Packets are in network order and
 * BPF is little-endian here, so either swap what was loaded or compare it with a swapped constant.
 */

import { assert } from '../base/assert.ts'

type Register = 'r0' | 'r1' | 'r2' | 'r3' | 'r4' | 'r5' | 'r6' | 'r7' | 'r8' | 'r9' | 'r10'
type Operand = Register | number

// RFC 9669 section 3: instruction classes, sources, sizes, modes.
const Class = {
  load: 0x00,
  memoryLoad: 0x01,
  storeNumber: 0x02,
  store: 0x03,
  jump: 0x05,
  arithmetic32: 0x04,
  arithmetic: 0x07,
}
const FROM_REGISTER = 0x08
const MEMORY = 0x60
const Size = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 } as const
const BYTE_SWAP = 0xd0
const PSEUDO_MAP_FD = 1

const Arithmetic = {
  add: 0x00,
  subtract: 0x10,
  or: 0x40,
  and: 0x50,
  shiftLeft: 0x60,
  shiftRight: 0x70,
  move: 0xb0,
} as const
const Condition = { '==': 0x10, '>': 0x20, '>=': 0x30, '&': 0x40, '!=': 0x50, '<': 0xa0, '<=': 0xb0 } as const

/** linux/bpf.h, the helpers that we call. */
export const Helper = { mapLookup: 1, now_ns: 5, redirectMap: 51 } as const

export class Assembler {
  readonly #slots: Uint8Array[] = []
  readonly #labels = new Map<string, number>()
  readonly #jumps: { slot: number; label: string }[] = []

  move(to: Register, from: Operand): this {
    return this.#arithmetic('move', to, from)
  }
  add(to: Register, from: Operand): this {
    return this.#arithmetic('add', to, from)
  }
  subtract(to: Register, from: Operand): this {
    return this.#arithmetic('subtract', to, from)
  }
  and(to: Register, from: Operand): this {
    return this.#arithmetic('and', to, from)
  }
  or(to: Register, from: Operand): this {
    return this.#arithmetic('or', to, from)
  }
  shiftLeft(to: Register, bits: number): this {
    return this.#arithmetic('shiftLeft', to, bits)
  }
  shiftRight(to: Register, bits: number): this {
    return this.#arithmetic('shiftRight', to, bits)
  }

  /** Turns the lower 16 bits from network order to the machine's and clears the rest. */
  swap16(register: Register): this {
    return this.#emit(Class.arithmetic32 | BYTE_SWAP | FROM_REGISTER, register, 'r0', 0, 16)
  }

  load8(to: Register, base: Register, offset: number): this {
    return this.#load(1, to, base, offset)
  }
  load16(to: Register, base: Register, offset: number): this {
    return this.#load(2, to, base, offset)
  }
  load32(to: Register, base: Register, offset: number): this {
    return this.#load(4, to, base, offset)
  }
  load64(to: Register, base: Register, offset: number): this {
    return this.#load(8, to, base, offset)
  }

  store32(base: Register, offset: number, value: Operand): this {
    if (typeof value === 'number') return this.#emit(Class.storeNumber | MEMORY | Size[4], base, 'r0', offset, value)
    return this.#emit(Class.store | MEMORY | Size[4], base, value, offset, 0)
  }
  store64(base: Register, offset: number, value: Register): this {
    return this.#emit(Class.store | MEMORY | Size[8], base, value, offset, 0)
  }

  /** Loads the address of a map, by the descriptor that the loader holds. Takes two slots. */
  loadMap(to: Register, fd: number): this {
    this.#emit(Class.load | Size[8], to, `r${PSEUDO_MAP_FD}` as Register, 0, fd)
    return this.#emit(0, 'r0', 'r0', 0, 0)
  }

  call(helper: number): this {
    return this.#emit(Class.jump | 0x80, 'r0', 'r0', 0, helper)
  }

  exit(): this {
    return this.#emit(Class.jump | 0x90, 'r0', 'r0', 0, 0)
  }

  label(name: string): this {
    assert(!this.#labels.has(name), `label ${name} stands twice`)
    this.#labels.set(name, this.#slots.length)
    return this
  }

  jump(label: string): this {
    this.#jumps.push({ slot: this.#slots.length, label })
    return this.#emit(Class.jump, 'r0', 'r0', 0, 0)
  }

  /** Unsigned comparison; `&` jumps if any of the bits is set. */
  jumpIf(left: Register, condition: keyof typeof Condition, right: Operand, label: string): this {
    this.#jumps.push({ slot: this.#slots.length, label })
    const code = Class.jump | Condition[condition]
    if (typeof right === 'number') return this.#emit(code, left, 'r0', 0, right)
    return this.#emit(code | FROM_REGISTER, left, right, 0, 0)
  }

  assemble(): Uint8Array {
    for (const { slot, label } of this.#jumps) {
      const target = this.#labels.get(label)
      assert(target !== undefined, `no label ${label}`)
      viewOf(this.#slots[slot]!).setInt16(2, target - slot - 1, true)
    }
    return new Uint8Array(Buffer.concat(this.#slots))
  }

  #arithmetic(operation: keyof typeof Arithmetic, to: Register, from: Operand): this {
    const code = Class.arithmetic | Arithmetic[operation]
    if (typeof from === 'number') return this.#emit(code, to, 'r0', 0, from)
    return this.#emit(code | FROM_REGISTER, to, from, 0, 0)
  }

  #load(bytes: keyof typeof Size, to: Register, base: Register, offset: number): this {
    return this.#emit(Class.memoryLoad | MEMORY | Size[bytes], to, base, offset, 0)
  }

  // RFC 9669 section 3: opcode, registers, offset, immediate.
  #emit(code: number, to: Register, from: Register, offset: number, immediate: number): this {
    const slot = new Uint8Array(8)
    slot[0] = code
    slot[1] = Number(to.slice(1)) | (Number(from.slice(1)) << 4)
    viewOf(slot).setInt16(2, offset, true)
    viewOf(slot).setInt32(4, immediate, true)
    this.#slots.push(slot)
    return this
  }
}

function viewOf(slot: Uint8Array): DataView {
  return new DataView(slot.buffer, slot.byteOffset, slot.byteLength)
}
