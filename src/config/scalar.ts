/**
 * The single values of a site file: names, addresses, numbers. Addresses come out in their canonical text (RFC 5952),
 * so two files that mean the same compare equal; whoever needs bytes parses the text again, which then cannot fail.
 */

import { z } from 'zod'
import {
  formatAddress,
  formatMac,
  formatPrefix,
  masked,
  parseAddress,
  parseInterface,
  parseMac,
  parsePrefix,
} from '../base/address.ts'
import { INTERFACE_NAME_LENGTH_MAX, MTU_MAX, MTU_MIN, NAME_LENGTH_MAX, VNI_MAX, WEIGHT_MAX } from './limits.ts'

function quoted(value: unknown): string {
  return JSON.stringify(value)
}

export const name = z
  .string()
  .max(NAME_LENGTH_MAX, { error: `a name has at most ${NAME_LENGTH_MAX} characters` })
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, {
    error: ({ input }) => `${quoted(input)} is no name: letters, digits, - and _, and a letter or digit first`,
  })

/** A network interface in the module's namespace. */
export const port = z
  .string()
  .max(INTERFACE_NAME_LENGTH_MAX, { error: `an interface name has at most ${INTERFACE_NAME_LENGTH_MAX} characters` })
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9_.@-]+$/, { error: ({ input }) => `${quoted(input)} is no interface name` })

/** Of the machine that a module runs on. */
export const file = z.string().regex(/^\//, { error: 'a file is written from the root: /etc/gatehouse/NAME' })

/** A text that is parsed, and comes out in canonical form. */
function parsed<T>(
  parse: (text: string) => T | undefined,
  format: (value: T) => string,
  complain: (text: string) => string,
) {
  return z.string().transform((text, context) => {
    const value = parse(text)
    if (value !== undefined) return format(value)
    context.addIssue({ code: 'custom', message: complain(text) })
    return z.NEVER
  })
}

export const address = parsed(parseAddress, formatAddress, (text) => `${quoted(text)} is no IP address`)

export const mac = parsed(
  (text) => {
    const bytes = parseMac(text)
    return bytes && (bytes[0]! & 1) === 0 && bytes.some((byte) => byte !== 0) ? bytes : undefined
  },
  formatMac,
  (text) =>
    parseMac(text)
      ? `${text} is no station's address: a group's, or zero`
      : `${quoted(text)} is no MAC address, such as 02:67:68:00:00:01`,
)

export const prefix = parsed(parsePrefix, formatPrefix, (text) => {
  const wide = parseInterface(text)
  if (!wide) return `${quoted(text)} is no prefix, such as 10.1.0.0/16 or 2001:db8::/32`
  const right = formatPrefix({ address: masked(wide.address, wide.length), length: wide.length })
  return `${text} has bits set behind its length; the prefix is ${right}`
})

/** An address of ours with the length of the subnet that it is in. */
export const interfaceAddress = parsed(
  parseInterface,
  formatPrefix,
  (text) => `${quoted(text)} is no address with a prefix length, such as 192.168.1.1/24`,
)

/** A whole number whose limits have a name. */
export function whole(what: string, min: number, max: number) {
  return z
    .int({ error: ({ input }) => (input === undefined ? 'is missing' : `${quoted(input)} is no whole number`) })
    .min(min, { error: ({ input }) => `${input} is below the smallest ${what}, ${min}` })
    .max(max, { error: ({ input }) => `${input} is above the largest ${what}, ${max}` })
}

export const vni = whole('VNI', 1, VNI_MAX)
export const mtu = whole('MTU', MTU_MIN, MTU_MAX)
export const weight = whole('weight', 1, WEIGHT_MAX)
export const as = whole('AS number', 1, 0xffff_ffff)

const FAMILY_NAMES = ['ipv4-unicast', 'ipv6-unicast', 'vpnv4', 'vpnv6'] as const
/** A kind of routes, as BGP names it. */
export const familyName = z.enum(FAMILY_NAMES)

/** A list of bounded length. What may be left out is an empty one. */
export function listOf<T extends z.ZodType>(what: string, element: T, max: number) {
  return z
    .array(element)
    .max(max, { error: ({ input }) => `${(input as unknown[]).length} are more ${what} than the ${max} that may be` })
}
