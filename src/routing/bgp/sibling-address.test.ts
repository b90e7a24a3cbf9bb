import { equal } from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'
import { formatAddress, parseAddress } from '../../base/address.ts'
import { siblingAddress } from './sibling-address.ts'

function on(address: string, scopeid = 0): NetworkInterfaceInfo {
  const common = { address, netmask: '', mac: '00:00:00:00:00:00', internal: false, cidr: null }
  return address.includes(':') ? { ...common, family: 'IPv6', scopeid } : { ...common, family: 'IPv4' }
}

const INTERFACES = {
  lo: [on('127.0.0.1'), on('::1')],
  peering: [on('10.9.0.1'), on('fe80::1', 4), on('fd09::1')],
  old: [on('10.8.0.1'), on('fe80::1', 5)],
}

function sibling(local: string): string | undefined {
  const found = siblingAddress(parseAddress(local)!, INTERFACES)
  return found && formatAddress(found)
}

test("a session's address has a sibling of the other family on its interface, never a link-local one", () => {
  equal(sibling('10.9.0.1'), 'fd09::1')
  equal(sibling('fd09::1'), '10.9.0.1')
  equal(sibling('10.8.0.1'), undefined)
  equal(sibling('10.7.0.1'), undefined)
})
