/**
 * What is to be known beside MRT's records, which have no place for names or for the words of a reason: a file a segment,
 * a line of JSON a note. A peer is known by a number, which stands in its records as the interface; a number means
 * something within its segment alone.
 *
 *   {"kind":"start","at_us":...,"node":"routing","as":65001}      the speaker began here: no session was up
 *   {"kind":"peer","number":3,"name":"transit","remote":"10.0.0.2","tenant":"acme"}
 *   {"kind":"up","at_us":...,"number":3,"families":3,...}         when the segment began it was established
 *   {"kind":"agreed","at_us":...,"number":3,"families":3,...}     it is, from here on
 *   {"kind":"kept","at_us":...,"number":3,"families":3,"keep_s":120}   after its end these families' routes stay so long
 *   {"kind":"reason","at_us":...,"number":3,"from":"established","to":"idle","reason":"..."}
 *   {"kind":"gap","at_us":...,"until_us":...,"chunks":4,"bytes":1048576,"events":0}   nothing was written of what came
 */

/** Of an established session: how its updates are to be read. Sets of families are bits. */
export interface Agreed {
  readonly families: number
  /** Those whose prefixes come with path identifiers. */
  readonly addPath: number
  readonly extendedNextHop: number
  /** What its paths have to begin with; 0 when it does not matter. */
  readonly firstAs: number
  /** How often our AS may be in a path. */
  readonly allowAsIn: number
  /** If it was here before: those for which it has gone on forwarding (RFC 4724). */
  readonly forwarding: number
}

export type Note =
  | { readonly kind: 'start'; readonly at_us: number; readonly node: string; readonly as: number }
  | {
      readonly kind: 'peer'
      readonly number: number
      readonly name: string
      readonly remote: string
      readonly tenant?: string | undefined
    }
  /** Versions before this one did not write what was agreed on. */
  | ({ readonly kind: 'up'; readonly at_us: number; readonly number: number } & Partial<Agreed>)
  | ({ readonly kind: 'agreed'; readonly at_us: number; readonly number: number } & Agreed)
  | {
      readonly kind: 'kept'
      readonly at_us: number
      readonly number: number
      readonly families: number
      readonly keep_s: number
    }
  | {
      readonly kind: 'reason'
      readonly at_us: number
      readonly number: number
      readonly from: string
      readonly to: string
      readonly reason: string
    }
  | {
      readonly kind: 'gap'
      readonly at_us: number
      readonly until_us: number
      readonly chunks: number
      readonly bytes: number
      readonly events: number
    }

const AGREED = {
  families: 'number',
  addPath: 'number',
  extendedNextHop: 'number',
  firstAs: 'number',
  allowAsIn: 'number',
  forwarding: 'number',
} as const

/** By kind: the fields that must be there, and what they are. */
const FIELDS: Readonly<Record<Note['kind'], Readonly<Record<string, 'number' | 'string'>>>> = {
  start: { at_us: 'number', node: 'string', as: 'number' },
  peer: { number: 'number', name: 'string', remote: 'string' },
  up: { at_us: 'number', number: 'number' },
  agreed: { at_us: 'number', number: 'number', ...AGREED },
  kept: { at_us: 'number', number: 'number', families: 'number', keep_s: 'number' },
  reason: { at_us: 'number', number: 'number', from: 'string', to: 'string', reason: 'string' },
  gap: { at_us: 'number', until_us: 'number', chunks: 'number', bytes: 'number', events: 'number' },
}

/** Undefined when the note does not say it all. */
export function agreedOf(note: Partial<Agreed>): Agreed | undefined {
  return Object.keys(AGREED).every((name) => typeof note[name as keyof Agreed] === 'number')
    ? (note as Agreed)
    : undefined
}

export function noteLine(note: Note): string {
  return `${JSON.stringify(note)}\n`
}

/** What of a file can be understood: its last line may be half a one, and a later version may write more kinds. */
export function readNotes(text: string): Note[] {
  return text.split('\n').flatMap((line) => readNote(line) ?? [])
}

function readNote(line: string): Note | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { kind, tenant, ...rest } = value as Record<string, unknown>
  const fields = typeof kind === 'string' && Object.hasOwn(FIELDS, kind) ? FIELDS[kind as Note['kind']] : undefined
  if (!fields || (tenant !== undefined && typeof tenant !== 'string')) return undefined
  const isWhole = Object.entries(fields).every(([name, type]) => typeof rest[name] === type)
  return isWhole ? (value as Note) : undefined
}
