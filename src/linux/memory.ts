/**
 * Memory that the kernel and this process both see: where a SharedArrayBuffer lies, mappings of kernel rings, and the
 * advice that keeps large mappings out of forked children. A SharedArrayBuffer has the same address in every thread.
 */

import koffi from 'koffi'
import { libc, must } from './libc.ts'
import { roundUp } from './struct.ts'

const SC_PAGESIZE = 30
const PROT_READ_WRITE = 3
const MAP_SHARED = 0x01
const MAP_POPULATE = 0x8000
const MADV_DONTFORK = 10

/** In bytes; 4,096 on x86, up to 65,536 on arm64. */
export const PAGE_BYTES = libc.sysconf(SC_PAGESIZE)

/** Where a buffer's first byte lies. Only a SharedArrayBuffer is sure to stay there. */
export function addressOf(memory: ArrayBufferLike | ArrayBufferView): number {
  return Number(koffi.address(memory))
}

/** The byte offset of the first page boundary in the buffer. */
export function firstPageIn(memory: SharedArrayBuffer): number {
  const address = addressOf(memory)
  return roundUp(address, PAGE_BYTES) - address
}

/**
 * glibc's DEFAULT_MMAP_THRESHOLD_MAX: what is larger has a mapping of its own, whose flags end with it. What is smaller
 * may lie in the heap, whose pages are used again, and a fork's child without pages of its heap is a segmentation
 * fault.
 */
const OWN_MAPPING_BYTES = 32 << 20

/**
 * Leaves the pages of a large buffer out of forked children, so a fork copies none of their page tables: with a 64 MB
 * UMEM and a 1 GB FIB a fork stops the workers for 0.5 ms instead of 27. Does nothing to a small one, which costs a
 * fork little.
 */
export function excludeFromFork(memory: SharedArrayBuffer): void {
  if (memory.byteLength <= OWN_MAPPING_BYTES) return
  const first = firstPageIn(memory)
  const bytes = Math.floor((memory.byteLength - first) / PAGE_BYTES) * PAGE_BYTES
  must('madvise', libc.madvise(addressOf(memory) + first, bytes, MADV_DONTFORK))
}

/** A shared mapping of a descriptor's memory, such as an AF_XDP ring. */
export class Mapping {
  readonly address: number
  readonly bytes: number
  readonly #memory: ArrayBuffer
  #mapped = true

  constructor(fd: number, offset: number, bytes: number) {
    this.bytes = bytes
    this.address = must('mmap', libc.mmap(0, bytes, PROT_READ_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset))
    this.#memory = koffi.view(this.address, bytes)
  }

  /** A view of `words` 32-bit words. Touching it after unmap() is a segmentation fault. */
  words(offset: number, words: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#memory, offset, words)
  }

  unmap(): void {
    if (this.#mapped) libc.munmap(this.address, this.bytes)
    this.#mapped = false
  }
}
