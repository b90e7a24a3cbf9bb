/** Socket options: a number or a structure's bytes in, bytes out. The options' own numbers stand with who uses them. */

import { libc, must } from './libc.ts'

export const SOL_SOCKET = 1

export function setOption(fd: number, level: number, option: number, value: number | Uint8Array): void {
  const raw = typeof value === 'number' ? Int32Array.of(value) : value
  must(`setsockopt(${level}, ${option})`, libc.setsockopt(fd, level, option, raw, raw.byteLength))
}

/** Fewer bytes than asked for if the kernel has fewer. */
export function getOption(fd: number, level: number, option: number, bytes: number): Uint8Array {
  const value = new Uint8Array(bytes)
  const length = Uint32Array.of(bytes)
  must(`getsockopt(${level}, ${option})`, libc.getsockopt(fd, level, option, value, length))
  return value.subarray(0, length[0])
}
