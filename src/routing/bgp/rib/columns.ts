/**
 * Arrays of numbers that grow. A short one doubles, and is copied for that. One that has become long takes address space
 * once, for as many numbers as there will ever be, and is not copied again: a hundred megabytes on their way from one array
 * to the next would keep waiting whoever asks something meanwhile. The system gives a page when it is touched, so what is
 * not used of it costs nothing.
 *
 * Behind what was written there are zeros. How long an array is says nothing of how much of it is in use: nobody walks over
 * one to its end, for that would touch it all.
 */

/** Copying so many takes some 50 us. */
export const COPIED_MAX = 2 ** 16
/** More prefixes than anybody has routes for. With more it goes on by doubling. */
const RESERVED = 2 ** 26

export function grown32(column: Int32Array, count: number): Int32Array {
  if (count <= column.length) return column
  const memory = reservedFor(count, 4)
  const larger = memory ? new Int32Array(memory) : new Int32Array(capacityFor(count))
  larger.set(column)
  return larger
}

export function grownUnsigned32(column: Uint32Array, count: number): Uint32Array {
  if (count <= column.length) return column
  const memory = reservedFor(count, 4)
  const larger = memory ? new Uint32Array(memory) : new Uint32Array(capacityFor(count))
  larger.set(column)
  return larger
}

export function grown16(column: Uint16Array, count: number): Uint16Array {
  if (count <= column.length) return column
  const memory = reservedFor(count, 2)
  const larger = memory ? new Uint16Array(memory) : new Uint16Array(capacityFor(count))
  larger.set(column)
  return larger
}

export function grown8(column: Uint8Array, count: number): Uint8Array {
  if (count <= column.length) return column
  const memory = reservedFor(count, 1)
  const larger = memory ? new Uint8Array(memory) : new Uint8Array(capacityFor(count))
  larger.set(column)
  return larger
}

/** The least power of two that is not below; of small ones every other, for there may be thousands of small tables. */
export function capacityFor(count: number): number {
  if (count <= SMALL[0]) return SMALL[0]
  return count <= SMALL[1] ? SMALL[1] : 2 ** (32 - Math.clz32(count - 1))
}

const SMALL = [16, 128] as const

/**
 * Memory for `RESERVED` numbers; undefined where so few are wanted, or so many, that the array doubles. It is a
 * SharedArrayBuffer, though nobody shares it: of the others V8 takes each byte for one in use, and looks for garbage.
 */
function reservedFor(count: number, bytes: number): SharedArrayBuffer | undefined {
  if (count <= COPIED_MAX || count > RESERVED) return undefined
  return reserve(RESERVED * bytes)
}

/** Undefined where the system has not that much address space to give, as under `ulimit -v` or without overcommit. */
export function reserve(bytes: number): SharedArrayBuffer | undefined {
  try {
    return new SharedArrayBuffer(bytes)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
