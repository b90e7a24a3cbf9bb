/**
 * Why a session ends: NOTIFICATION messages, RFC 4271 section 4.5, with the names of all codes that a peer may send, and
 * the words that an operator may add to a shutdown (RFC 9003):
 *
 *   code u8 | subcode u8 | data
 */

/** UPDATE Message Error, RFC 4271 section 6.3. Subcodes 2 to 11; 7 is not in use any more. */
export const UPDATE_ERROR = {
  code: 3,
  malformedList: 1,
  unrecognisedWellKnown: 2,
  missingWellKnown: 3,
  attributeFlags: 4,
  attributeLength: 5,
  invalidOrigin: 6,
  invalidNextHop: 8,
  optionalAttribute: 9,
  invalidNetwork: 10,
  malformedAsPath: 11,
} as const
