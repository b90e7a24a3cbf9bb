/**
 * Capture files as libpcap writes them (draft-ietf-opsawg-pcap): a file header, then records, each with a header of its
 * own, all in the byte order of the machine that wrote them. Read: both byte orders, micro- and nanoseconds. Written:
 * nanoseconds, big-endian. Not pcapng.
 */

import { assert } from '../base/assert.ts'
import { type Field, header, u16, u32 } from './header.ts'

const pcapFile = header('pcap file header, draft-ietf-opsawg-pcap section 4', {
  magic: u32,
  versionMajor: u16,
  versionMinor: u16,
  reserved1: u32,
  reserved2: u32,
  snapLength: u32,
  linkType: u32,
})

const pcapRecord = header('pcap record header, draft-ietf-opsawg-pcap section 5', {
  seconds: u32,
  fraction: u32,
  capturedLength: u32,
  originalLength: u32,
})

const MAGIC_MICROSECONDS = 0xa1b2c3d4
const MAGIC_NANOSECONDS = 0xa1b23c4d
/** Upper bits carry the frame check sequence's length. */
const LINK_TYPE = 0xffff

/** IANA link types. */
export const LINK_TYPE_ETHERNET = 1

/** libpcap's own limit for a record of most link types: more is a corrupt file. */
const PCAP_RECORD_MAX = 262_144

export interface PcapRecord {
  /** Since 1970. */
  seconds: number
  nanoseconds: number
  /** What was captured. A piece of the file's bytes, not a copy. */
  bytes: Uint8Array
  /** What was on the wire, at least `bytes.length`. */
  originalLength: number
}

/**
 * - not-pcap: no magic number, or the file ends within its header
 * - bad-version: not 2.4, the only one there is
 * - bad-record: a record that claims to be longer than PCAP_RECORD_MAX or than the packet that it is of
 * - cut: the file ends within a record
 */
export type PcapFault = 'not-pcap' | 'bad-version' | 'bad-record' | 'cut'

export interface Pcap {
  linkType: number
  /** All records in front of the fault. */
  records: PcapRecord[]
  fault: PcapFault | undefined
}

export function readPcap(file: Uint8Array): Pcap {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const pcap: Pcap = { linkType: 0, records: [], fault: undefined }
  if (file.length < pcapFile.BYTES) return { ...pcap, fault: 'not-pcap' }
  const little = !isMagic(view.getUint32(0))
  const magic = view.getUint32(0, little)
  if (!isMagic(magic)) return { ...pcap, fault: 'not-pcap' }
  const major = view.getUint16(pcapFile.versionMajor.offset, little)
  const minor = view.getUint16(pcapFile.versionMinor.offset, little)
  if (major !== 2 || minor !== 4) return { ...pcap, fault: 'bad-version' }
  pcap.linkType = view.getUint32(pcapFile.linkType.offset, little) & LINK_TYPE

  for (let at: number = pcapFile.BYTES; at < file.length; ) {
    if (at + pcapRecord.BYTES > file.length) return { ...pcap, fault: 'cut' }
    const read = (field: Field): number => view.getUint32(at + field.offset, little)
    const length = read(pcapRecord.capturedLength)
    const originalLength = read(pcapRecord.originalLength)
    if (length > PCAP_RECORD_MAX || length > originalLength) return { ...pcap, fault: 'bad-record' }
    const start = at + pcapRecord.BYTES
    if (start + length > file.length) return { ...pcap, fault: 'cut' }
    const fraction = read(pcapRecord.fraction)
    pcap.records.push({
      seconds: read(pcapRecord.seconds),
      nanoseconds: magic === MAGIC_NANOSECONDS ? fraction : fraction * 1000,
      bytes: file.subarray(start, start + length),
      originalLength,
    })
    at = start + length
  }
  return pcap
}

function isMagic(word: number): boolean {
  return word === MAGIC_MICROSECONDS || word === MAGIC_NANOSECONDS
}

/** The head of a file; the records follow it, one after the other. */
export function pcapFileHeader(linkType: number = LINK_TYPE_ETHERNET): Uint8Array {
  const bytes = new Uint8Array(pcapFile.BYTES)
  const view = new DataView(bytes.buffer)
  pcapFile.magic.set(view, 0, MAGIC_NANOSECONDS)
  pcapFile.versionMajor.set(view, 0, 2)
  pcapFile.versionMinor.set(view, 0, 4)
  pcapFile.snapLength.set(view, 0, PCAP_RECORD_MAX)
  pcapFile.linkType.set(view, 0, linkType)
  return bytes
}

export function pcapRecordBytes(record: PcapRecord): Uint8Array {
  const length = record.bytes.length
  assert(length <= PCAP_RECORD_MAX && length <= record.originalLength, `a pcap record of ${length} bytes`)
  const bytes = new Uint8Array(pcapRecord.BYTES + length)
  const view = new DataView(bytes.buffer)
  pcapRecord.seconds.set(view, 0, record.seconds)
  pcapRecord.fraction.set(view, 0, record.nanoseconds)
  pcapRecord.capturedLength.set(view, 0, length)
  pcapRecord.originalLength.set(view, 0, record.originalLength)
  bytes.set(record.bytes, pcapRecord.BYTES)
  return bytes
}
