import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseAddress } from '../../../base/address.ts'
import { ManualClock } from '../../../base/clock.ts'
import { Random } from '../../../base/random.ts'
import { FAMILY } from '../../../wire/bgp/family.ts'
import { MESSAGE } from '../../../wire/bgp/message.ts'
import { CEASE, notification, OPEN_ERROR } from '../../../wire/bgp/notification.ts'
import type { Connection } from './connection.ts'
import { SessionCounters } from './counters.ts'
import { downByCollision } from './down.ts'
import type { MachineEvent } from './event.ts'
import { Machine, type MachineOwner, type Verdict } from './machine.ts'
import { type Negotiated, negotiate, type Offer, openOf } from './negotiate.ts'
import { defaultSessionOptions, type SessionOptions } from './session-options.ts'
import type { State } from './states.ts'

const offer: Offer = {
  localAs: 65_001,
  localId: 1,
  remoteAs: [{ from: 65_002, to: 65_002 }],
  holdTime_s: 90,
  holdTimeMin_s: 3,
  families: [{ family: FAMILY.ipv4Unicast }],
  extendedMessages: true,
}
const negotiated = negotiate(offer, { ...openOf(offer), as: 65_002, identifier: 2 }) as Negotiated

const LETTER: Readonly<Record<number, string>> = { [MESSAGE.open]: 'O', [MESSAGE.keepalive]: 'K' }

/** One machine, on a connection that notes what is sent: O, K, or the code and subcode of a NOTIFICATION. */
function machineOf(options: Partial<SessionOptions> = {}, verdict: Verdict = 'stay') {
  const clock = new ManualClock()
  const said: string[] = []
  const connection = (): Connection => ({
    local: parseAddress('10.0.0.1')!,
    start: () => {},
    send: (message) => {
      const type = message[18]!
      said.push(type === MESSAGE.notification ? `${message[19]}.${message[20]}` : LETTER[type]!)
    },
    allow: () => {},
    drain: () => false,
    close: () => void said.push('x'),
  })
  const owner: MachineOwner = {
    options: { ...defaultSessionOptions, offer, ...options },
    counters: new SessionCounters(),
    connector: {
      open: () => {
        said.push('c')
        return connection()
      },
    },
    clock,
    random: new Random(3),
    changed: () => {},
    judge: (_machine, _negotiated, hasWaited) => (hasWaited ? 'stay' : verdict),
    update: () => void said.push('u'),
    refresh: () => void said.push('r'),
  }
  return { machine: new Machine(owner, 'outgoing'), said, clock, connection, owner }
}

const EVENTS: Readonly<Record<string, MachineEvent>> = {
  start: { type: 'start' },
  stop: { type: 'stop', notification: notification(CEASE.code, CEASE.shutdown), isHard: true },
  'connect retry': { type: 'connect-retry-expired' },
  hold: { type: 'hold-expired' },
  'keepalive timer': { type: 'keepalive-expired' },
  'delay open': { type: 'delay-open-expired' },
  'send hold': { type: 'send-hold-expired' },
  lost: { type: 'connection-failed', why: 'the peer reset the connection' },
  OPEN: { type: 'open', negotiated },
  'bad message': { type: 'error', notification: notification(OPEN_ERROR.code, OPEN_ERROR.peerAs) },
  'give way': { type: 'give-way', down: downByCollision },
  NOTIFICATION: { type: 'notification', notification: notification(CEASE.code, CEASE.shutdown) },
  KEEPALIVE: { type: 'keepalive' },
  UPDATE: { type: 'update' },
  'ROUTE-REFRESH': { type: 'route-refresh' },
  restart: { type: 'peer-restarted' },
}

/** The way into each state, from idle. */
const WAYS: Readonly<Record<Exclude<State, 'active'>, readonly (MachineEvent | 'opened')[]>> = {
  idle: [],
  connect: [{ type: 'start' }],
  openSent: [{ type: 'start' }, 'opened'],
  openConfirm: [{ type: 'start' }, 'opened', EVENTS['OPEN']!],
  established: [{ type: 'start' }, 'opened', EVENTS['OPEN']!, { type: 'keepalive' }],
}

function goTo(machine: Machine, state: keyof typeof WAYS): void {
  for (const step of WAYS[state]) {
    if (step === 'opened') machine.opened()
    else machine.handle(step)
  }
  equal(machine.state, state)
}

// What follows, and what is done on the way: c connects, O and K are messages, 6.2 is a NOTIFICATION, x closes.
// The states' own rows of RFC 4271 section 8.2.2, RFC 6608's subcodes, RFC 9687's event.
const TABLE = `
                 | idle        | connect        | openSent         | openConfirm          | established
start            | connect c   | connect        | openSent         | openConfirm          | established
stop             | idle        | idle x         | idle 6.2 x       | idle 6.2 x           | idle 6.2 x
connect retry    | idle        | connect x c    | idle 5.1 x       | idle 5.2 x           | idle 5.3 x
hold             | idle        | idle x         | idle 4.0 x       | idle 4.0 x           | idle 4.0 x
keepalive timer  | idle        | idle x         | idle 5.1 x       | openConfirm K        | established K
delay open       | idle        | openSent O     | idle 5.1 x       | idle 5.2 x           | idle 5.3 x
send hold        | idle        | idle x         | idle 8.0 x       | idle 8.0 x           | idle 8.0 x
lost             | idle        | active x       | active x         | idle x               | idle x
OPEN             | idle        | openConfirm O K| openConfirm K    | idle 5.2 x           | idle 5.3 x
bad message      | idle        | idle x         | idle 2.2 x       | idle 2.2 x           | idle 2.2 x
give way         | idle        | idle x         | idle 6.7 x       | idle 6.7 x           | idle 6.7 x
NOTIFICATION     | idle        | idle x         | idle x           | idle x               | idle x
KEEPALIVE        | idle        | idle x         | idle 5.1 x       | established          | established
UPDATE           | idle        | idle x         | idle 5.1 x       | idle 5.2 x           | established
ROUTE-REFRESH    | idle        | idle x         | idle 5.1 x       | idle 5.2 x           | established
restart          | idle        | idle x         | idle x           | idle x               | idle x
`

suite('the state machine, RFC 4271 section 8.2.2', () => {
  const [head, ...rows] = TABLE.trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
  const states = head!.slice(head!.indexOf('idle')) as (keyof typeof WAYS)[]

  test('the table has every event', () => {
    deepEqual(
      rows.map(([event]) => event),
      Object.keys(EVENTS),
    )
  })

  for (const [event, ...cells] of rows) {
    test(`${event} in every state`, () => {
      cells.forEach((cell, i) => {
        const { machine, said } = machineOf()
        goTo(machine, states[i]!)
        said.length = 0
        machine.handle(EVENTS[event!]!)
        const [next, ...actions] = cell.split(/\s+/)
        deepEqual([machine.state, ...said], [next, ...actions], `${event} in ${states[i]}`)
      })
    })
  }

  test('active is left for connect by the timer, and for idle by everything else', () => {
    for (const [name, event] of Object.entries(EVENTS)) {
      const { machine, said } = machineOf({ passive: true })
      machine.handle({ type: 'start' })
      equal(machine.state, 'active')
      if (name === 'OPEN' || name === 'delay open') continue // there is no connection for them
      machine.handle(event)
      const expected = { start: ['active'], lost: ['active'], 'connect retry': ['connect', 'c'] }[name] ?? ['idle']
      deepEqual([machine.state, ...said], expected, name)
    }
  })
})

suite('delay open', () => {
  test('holds our OPEN back until its time is over', () => {
    const { machine, said, clock } = machineOf({ delayOpen_ms: 5000 })
    machine.handle({ type: 'start' })
    machine.opened()
    clock.advance(4999)
    deepEqual([machine.state, ...said], ['connect', 'c'])
    clock.advance(1)
    deepEqual([machine.state, ...said], ['openSent', 'c', 'O'])
  })

  test('is over when the peer speaks first', () => {
    const { machine, said, clock } = machineOf({ delayOpen_ms: 5000 })
    machine.handle({ type: 'start' })
    machine.opened()
    machine.handle(EVENTS['OPEN']!)
    deepEqual([machine.state, ...said], ['openConfirm', 'c', 'O', 'K'])
    clock.advance(6000)
    equal(said.filter((what) => what === 'O').length, 1)
  })

  test('holds for a connection of the peer as well', () => {
    const { owner, connection, said, clock } = machineOf({ delayOpen_ms: 5000 })
    const machine = new Machine(owner, 'incoming')
    machine.take(connection())
    equal(machine.state, 'active')
    clock.advance(5000)
    deepEqual([machine.state, ...said], ['openSent', 'O'])
  })
})

suite('a machine', () => {
  test('of a connection of the peer ends with it, where one of ours would try again', () => {
    const { owner, connection } = machineOf()
    const machine = new Machine(owner, 'incoming')
    machine.take(connection())
    equal(machine.state, 'openSent')
    machine.failed('the peer closed the connection')
    equal(machine.state, 'idle')
    equal(machine.down!.sentence, 'the peer closed the connection')
  })

  test('whose connection is the one to drop says so, whatever the peer has sent', () => {
    const { machine, said } = machineOf({}, 'give-way')
    goTo(machine, 'openSent')
    machine.handle(EVENTS['OPEN']!)
    deepEqual([machine.state, machine.counts, ...said.slice(2)], ['idle', false, '6.7', 'x'])
  })

  test('whose OPEN waits for another connection is not up before that is settled, whatever the peer says', () => {
    for (const early of [true, false]) {
      const { machine, said, clock } = machineOf({}, 'wait')
      goTo(machine, 'openSent')
      machine.handle(EVENTS['OPEN']!)
      if (early) machine.handle({ type: 'keepalive' })
      deepEqual([machine.state, ...said], ['openSent', 'c', 'O'])
      if (early) machine.settle()
      else clock.advance(2000)
      deepEqual([machine.state, ...said], [early ? 'established' : 'openConfirm', 'c', 'O', 'K'])
    }
    const { machine } = machineOf({}, 'wait')
    goTo(machine, 'openSent')
    machine.handle(EVENTS['OPEN']!)
    machine.handle(EVENTS['OPEN']!)
    equal(machine.state, 'idle')
  })

  test('sends a hard reset when the peer would keep routes over a shutdown, and none when it is to keep them', () => {
    for (const [isHard, expected] of [
      [true, '6.9'],
      [false, '6.2'],
    ] as const) {
      const { machine, said } = machineOf()
      goTo(machine, 'openSent')
      const gracefulRestart = { restartTime_s: 1, restarting: false, notification: true, families: 1, forwarding: 1 }
      machine.handle({ type: 'open', negotiated: { ...negotiated, gracefulRestart } })
      machine.handle({ type: 'stop', notification: notification(CEASE.code, CEASE.shutdown), isHard })
      equal(said.at(-2), expected)
    }
  })

  test('counts what makes the next start wait, and not what is no failure', () => {
    const counted = Object.entries(EVENTS).filter(([, event]) => {
      const { machine } = machineOf()
      goTo(machine, 'openSent')
      machine.handle(event)
      return machine.state === 'idle' && machine.counts
    })
    const names = counted.map(([name]) => name)
    deepEqual(
      ['stop', 'give way', 'restart'].filter((name) => names.includes(name)),
      [],
    )
    deepEqual(
      ['hold', 'bad message', 'NOTIFICATION', 'UPDATE'].filter((name) => !names.includes(name)),
      [],
    )
    const { machine } = machineOf()
    goTo(machine, 'openSent')
    machine.handle({ type: 'notification', notification: notification(OPEN_ERROR.code, OPEN_ERROR.version) })
    equal(machine.counts, false)
  })
})
