/**
 * How many descriptors the process may have (RLIMIT_NOFILE, getrlimit(2)). Node raises the soft limit to the hard one by
 * itself; who may (CAP_SYS_RESOURCE) raises both.
 */

import { LinuxError } from './error.ts'
import { errno, libc, must } from './libc.ts'

const RLIMIT_NOFILE = 7

/** Sees to it that there are at least so many. False when that is not allowed. */
export function raiseDescriptorLimit(wanted: number): boolean {
  const limits = new BigUint64Array(2)
  must('getrlimit', libc.getrlimit(RLIMIT_NOFILE, limits))
  const [soft, hard] = limits as unknown as [bigint, bigint]
  if (soft >= wanted) return true
  const raised = new BigUint64Array([BigInt(wanted), hard > wanted ? hard : BigInt(wanted)])
  const result = libc.setrlimit(RLIMIT_NOFILE, raised)
  if (result < 0 && errno() === LinuxError.numberOf('EPERM')) return false
  must('setrlimit', result)
  return true
}
