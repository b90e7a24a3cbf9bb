/** A path's number and its flags, which say whether it takes part in the decision. */

/** No path. */
export const NONE = 0

/** Why a path takes no part in the decision, and what else there is to know of it. */
export const PATH_FLAG = {
  /** It comes back to us (our AS, our router ID, our cluster). */
  rejected: 1,
  /** Its next hop leads nowhere. */
  unreachable: 2,
  /** All routes of its session come again, and it has not yet (RFC 7313). It stays as good as it was. */
  stale: 4,
  /** Policy does not accept it. */
  denied: 8,
  /** It came into its VRF from the VPN, and does not go back there. */
  imported: 16,
} as const

/** Takes no part. */
export const INELIGIBLE = PATH_FLAG.rejected | PATH_FLAG.unreachable | PATH_FLAG.denied
