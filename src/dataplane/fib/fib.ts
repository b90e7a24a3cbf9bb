/**
 * The FIB: longest-prefix match for all VRFs of a process, IPv4 and IPv6, in one shared memory (DSR section 4.1.2). One
 * writer changes it while the workers look up; they take no lock and never wait. It maps prefixes to slot numbers and
 * knows nothing of what a slot means (action.ts). layout.ts draws it.
 *
 * What DSR does with a directory and on-demand tables of 2^16 entries, this does with tables sized to the tenant: a small
 * VRF takes 10 bytes a route, and 10 M routes in one VRF some 15.
 */

export { FibFullError } from './build.ts'
export { createFibMemory, type FibLimits, type FibMemory } from './memory.ts'
export { FibReader, LOOKUPS_MAX } from './reader.ts'
export type { RouteColumns } from './route-list.ts'
export { FibWriter } from './writer.ts'
