/** Arrays of numbers that grow: the next power of two holds what the old one held, and zeros behind it. */

export function grown32(column: Int32Array<ArrayBuffer>, count: number): Int32Array<ArrayBuffer> {
  if (count <= column.length) return column
  const larger = new Int32Array(capacityFor(count))
  larger.set(column)
  return larger
}

export function grownUnsigned32(column: Uint32Array<ArrayBuffer>, count: number): Uint32Array<ArrayBuffer> {
  if (count <= column.length) return column
  const larger = new Uint32Array(capacityFor(count))
  larger.set(column)
  return larger
}

export function grown16(column: Uint16Array<ArrayBuffer>, count: number): Uint16Array<ArrayBuffer> {
  if (count <= column.length) return column
  const larger = new Uint16Array(capacityFor(count))
  larger.set(column)
  return larger
}

export function grown8(column: Uint8Array<ArrayBuffer>, count: number): Uint8Array<ArrayBuffer> {
  if (count <= column.length) return column
  const larger = new Uint8Array(capacityFor(count))
  larger.set(column)
  return larger
}

/** The least power of two that is not below; of small ones every other, for there may be thousands of small tables. */
export function capacityFor(count: number): number {
  if (count <= SMALL[0]) return SMALL[0]
  return count <= SMALL[1] ? SMALL[1] : 1 << (32 - Math.clz32(count - 1))
}

const SMALL = [16, 128] as const
