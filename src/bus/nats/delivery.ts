/**
 * Where a message that a consumer hands out stands in its stream: NATS says so in the subject for its
 * acknowledgement, `$JS.ACK.STREAM.CONSUMER.DELIVERIES.SEQUENCE.NUMBER.TIME.PENDING` (or, with an account's name in it
 * and something random at the end, `$JS.ACK.DOMAIN.ACCOUNT.STREAM...`).
 */

export interface Position {
  /** In the stream. */
  readonly sequence: number
  /** From 1, without gaps, as this consumer handed out. */
  readonly number: number
}

const TOKENS_SHORT = 9
const TOKENS_LONG_MIN = 11

/** Undefined: this is no message of a consumer. */
export function positionOf(reply: string): Position | undefined {
  const tokens = reply.split('.')
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined
  if (tokens.length !== TOKENS_SHORT && tokens.length < TOKENS_LONG_MIN) return undefined
  const at = tokens.length === TOKENS_SHORT ? 5 : 7
  const [sequence, number] = [wholeOf(tokens[at]!), wholeOf(tokens[at + 1]!)]
  return sequence && number ? { sequence, number } : undefined
}

/** Undefined when it is no whole number that a double holds exactly. */
export function wholeOf(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : undefined
}
