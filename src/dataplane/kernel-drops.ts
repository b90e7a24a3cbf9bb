/** What the kernel lost of a worker's frames, before it saw them and after it sent them: a port a row. */

import type { KernelDrops } from './port.ts'

export interface PortDrops extends KernelDrops {
  readonly name: string
  /** What the device counts for all of its users together; among it what it found no place for at our sockets. */
  readonly device: { readonly received: number; readonly sent: number }
}

/**
 * Frames lost at all ports together. Some devices (veth) count what our sockets had no place for among their own
 * drops, others do not: the larger of the two is what is certain to be lost.
 */
export function framesLost(ports: readonly PortDrops[]): number {
  return ports.reduce(
    (sum, { received, invalid, device }) => sum + Math.max(received, device.received) + invalid + device.sent,
    0,
  )
}
