import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parseAddress, parsePrefix } from '../base/address.ts'
import { LinuxError } from './error.ts'
import { libc, must } from './libc.ts'
import { withNamespace } from './namespace.ts'
import { POLLIN, POLLOUT, PollSet } from './poll.ts'
import { ip, ScratchNetwork, unprivileged } from './scratch.ts'
import { TcpFailure } from './tcp-failure.ts'
import { TcpListener } from './tcp-listener.ts'
import type { TcpOptions } from './tcp-option.ts'
import { type ConnectOptions, ENDED, FAILED, TcpSocket, WOULD_BLOCK } from './tcp-socket.ts'

const RLIMIT_NOFILE = 7

const WAIT_MS = 5000
/** Long enough for an answer that would come, on a loaded machine. */
const SILENCE_MS = 300

const address = (text: string): Uint8Array => parseAddress(text)!
const here = address('127.0.0.1')
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const readable = (socket: TcpSocket | TcpListener, ms = WAIT_MS): boolean => new PollSet([socket.fd]).wait(ms) > 0
const writable = (socket: TcpSocket, ms = WAIT_MS): boolean => new PollSet([socket.fd], POLLOUT).wait(ms) > 0

function connect(to: Uint8Array, port: number, options?: ConnectOptions): TcpSocket {
  const socket = TcpSocket.connect({ address: to, port }, options)
  assert.ok(socket instanceof TcpSocket, socket instanceof TcpFailure ? socket.reason : '')
  return socket
}

/** A listener on the loopback interface, one connection to it, and both of its ends. */
function pair(listening: TcpOptions = {}, connecting: ConnectOptions = {}) {
  const listener = new TcpListener({ address: here, port: 0 }, listening)
  const near = connect(here, listener.local.port, connecting)
  assert.ok(readable(listener))
  const far = listener.accept()!
  assert.ok(writable(near) && near.connected())
  const close = (): void => {
    for (const one of [near, far, listener]) one.close()
  }
  return { listener, near, far, close, [Symbol.dispose]: close }
}

function received(socket: TcpSocket): string {
  assert.ok(readable(socket))
  const buffer = new Uint8Array(1000)
  return Buffer.from(buffer.subarray(0, Math.max(0, socket.receive(buffer)))).toString()
}

function failureOf(socket: TcpSocket): string | undefined {
  assert.ok(writable(socket))
  assert.equal(socket.connected(), false)
  return socket.failure?.reason
}

describe('a TCP connection', () => {
  test('knows both of its ends, and carries bytes both ways into shared memory, a range at a time', () => {
    using ends = pair()
    const { near, far, listener } = ends
    assert.deepEqual(near.remote, { address: here, port: listener.local.port })
    assert.deepEqual(far.remote, near.local)
    assert.deepEqual(far.local, listener.local)
    assert.equal(near.send(bytes('..hello..'), 2, 7), 5)
    assert.ok(readable(far))
    const memory = new Uint8Array(new SharedArrayBuffer(16)).fill(0xa5)
    assert.equal(far.receive(memory, 4, 8), 4)
    assert.equal(far.receive(memory, 8), 1)
    assert.equal(far.receive(memory, 9), WOULD_BLOCK)
    assert.deepEqual([...memory.subarray(3, 10)], [0xa5, ...bytes('hello'), 0xa5])
    far.send(bytes('back'))
    assert.equal(received(near), 'back')
  })

  test('goes from an address that was chosen, and a port that was', () => {
    const listener = new TcpListener({ address: here, port: 0 })
    const local = { address: address('127.0.0.9'), port: 0 }
    const some = connect(here, listener.local.port, { local })
    assert.deepEqual(some.local.address, local.address)
    const { port } = some.local
    some.reset()
    const same = connect(here, listener.local.port, { local: { ...local, port } })
    assert.deepEqual(same.local, { ...local, port })
    for (const socket of [same, listener]) socket.close()
  })

  test('takes what it has room for, says when it has none, and when it has again', async () => {
    using ends = pair({ receiveBufferBytes: 8192 }, { sendBufferBytes: 8192 })
    const { near, far } = ends
    const block = new Uint8Array(1 << 20)
    const taken = near.send(block)
    assert.ok(taken > 0 && taken < block.length, `took ${taken}`)
    while (near.send(block) !== WOULD_BLOCK);
    assert.ok(near.unacknowledgedBytes() > 0)
    const room = Promise.withResolvers<void>()
    const watching = near.watch(
      (_, writable) => {
        assert.ok(writable)
        watching.want(false, false)
        room.resolve()
      },
      { readable: false, writable: true },
    )
    while (!writable(near, 0)) far.receive(block)
    await room.promise
    assert.ok(near.send(block) > 0)
  })

  test('carries 64 MB whole and in order while both ends only do what they can', async () => {
    using ends = pair()
    const { near, far } = ends
    const TOTAL = 64 << 20
    const block = new Uint8Array(new SharedArrayBuffer(251 * 1024))
    for (let i = 0; i < block.length; i++) block[i] = i % 251
    let sent = 0
    const sending = near.watch(
      () => {
        for (let n = 1; n > 0 && sent < TOTAL; sent += n) {
          const from = sent % block.length
          n = near.send(block, from, Math.min(block.length, from + TOTAL - sent))
          if (n < 0) assert.fail(near.failure!.sentence)
        }
        if (sent < TOTAL) return
        sending.want(false, false)
        near.end()
      },
      { readable: false, writable: true },
    )
    const buffer = new Uint8Array(new SharedArrayBuffer(100_000))
    let got = 0
    let wrong = 0
    await new Promise<void>((resolve) => {
      far.watch(() => {
        const n = far.receive(buffer)
        if (n === ENDED) return resolve()
        for (let i = 0; i < n; i++) if (buffer[i] !== (got + i) % 251) wrong++
        got += Math.max(n, 0)
      })
    })
    assert.deepEqual([got, wrong], [TOTAL, 0])
  })

  test('that the peer ended can still be spoken to', () => {
    using ends = pair()
    const { near, far } = ends
    near.send(bytes('last'))
    near.end()
    assert.equal(received(far), 'last')
    assert.ok(readable(far))
    assert.equal(far.receive(new Uint8Array(8)), ENDED)
    far.send(bytes('answer'))
    assert.equal(received(near), 'answer')
  })

  test('delivers its last words after it was closed', () => {
    using ends = pair()
    ends.near.send(bytes('goodbye'))
    ends.near.close()
    assert.equal(received(ends.far), 'goodbye')
    assert.ok(readable(ends.far))
    assert.equal(ends.far.receive(new Uint8Array(8)), ENDED)
  })

  test('that is reset says so to who receives and to who sends', () => {
    for (const use of ['receive', 'send'] as const) {
      using ends = pair()
      ends.far.reset()
      assert.ok(readable(ends.near))
      assert.equal(ends.near[use](new Uint8Array(8)), FAILED)
      assert.equal(ends.near.failure?.reason, 'reset')
    }
  })

  test('to nobody is refused', () => {
    const listener = new TcpListener({ address: here, port: 0 })
    const { port } = listener.local
    listener.close()
    assert.equal(failureOf(connect(here, port)), 'refused')
  })

  test('from an address that is not here is a failure at once, and to one without a way there too', () => {
    const none = TcpSocket.connect({ address: here, port: 1 }, { local: { address: address('192.0.2.1'), port: 0 } })
    assert.ok(none instanceof TcpFailure)
    assert.deepEqual([none.reason, none.sentence], ['no-address', 'the local address is not one of this host'])
    const taken = new TcpListener({ address: here, port: 0 })
    const failure = TcpSocket.connect({ address: here, port: 1 }, { local: taken.local })
    assert.ok(failure instanceof TcpFailure)
    assert.equal(failure.reason, 'address-in-use')
    taken.close()
  })

  test('can be told anything by ICMP, and none of it is thrown', () => {
    // icmp_err_convert, net/ipv4/icmp.c, and tab_unreach, net/ipv6/icmp.c.
    const codes = ['ENETUNREACH', 'EHOSTUNREACH', 'ENOPROTOOPT', 'ECONNREFUSED', 'EMSGSIZE', 'EOPNOTSUPP', 'EHOSTDOWN']
    for (const code of [...codes, 'ENONET', 'EACCES', 'EPROTO'])
      assert.match(new TcpFailure('connect', LinuxError.numberOf(code)).reason, /unreachable|refused/, code)
    assert.throws(() => new TcpFailure('recv', LinuxError.numberOf('EBADF')), { code: 'EBADF' })
  })

  test('leaves no descriptor behind, whichever way it ends', () => {
    const open = (): number => readdirSync('/proc/self/fd').length
    const before = open()
    const ends = pair()
    ends.near.reset()
    ends.near.close()
    ends.close()
    ends.close()
    TcpSocket.connect({ address: here, port: 1 }, { local: { address: address('192.0.2.1'), port: 0 } })
    assert.equal(open(), before)
  })
})

describe('a TCP listener', () => {
  test('hands over connections as they come, and of a thousand at once each one', async () => {
    const COUNT = 1000
    const listener = new TcpListener({ address: here, port: 0 })
    const ports = new Set<number>()
    const all = Promise.withResolvers<void>()
    listener.watch((socket) => {
      ports.add(socket.remote.port)
      socket.reset()
      if (ports.size === COUNT) all.resolve()
    })
    const sockets = Array.from({ length: COUNT }, () => connect(here, listener.local.port))
    await all.promise
    assert.deepEqual(ports, new Set(sockets.map((socket) => socket.local.port)))
    for (const socket of sockets) socket.close()
    listener.close()
  })

  test('turns connections away while the process has no descriptor for them, and takes them again after', async () => {
    const listener = new TcpListener({ address: here, port: 0 })
    const near = connect(here, listener.local.port)
    const [, before, hard] = /Max open files\s+(\d+)\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))!
    // By a call, and not by a program: to start one takes descriptors.
    const limit = (soft: number): void =>
      void must('setrlimit', libc.setrlimit(RLIMIT_NOFILE, new BigUint64Array([BigInt(soft), BigInt(hard!)])))
    assert.ok(readable(listener))
    const highest = Math.max(
      ...readdirSync('/proc/self/fd')
        .map(Number)
        .filter((fd) => existsSync(`/proc/self/fd/${fd}`)),
    )
    const fill: number[] = []
    limit(highest + 1)
    try {
      for (;;) fill.push(openSync('/dev/null', 'r'))
    } catch {
      assert.equal(listener.accept(), undefined)
    } finally {
      for (const fd of fill) closeSync(fd)
      limit(Number(before))
    }
    assert.equal(listener.turnedAway, 1)
    assert.ok(readable(near))
    assert.ok(near.receive(new Uint8Array(8)) < 0)
    const next = connect(here, listener.local.port)
    assert.ok(readable(listener))
    const accepted = listener.accept()!
    for (const one of [near, next, accepted, listener]) one.close()
  })

  test('of IPv6 does not take IPv4, whose listener has the same port', () => {
    const six = new TcpListener({ address: address('::'), port: 0 })
    const four = new TcpListener({ address: address('0.0.0.0'), port: six.local.port })
    const near = connect(here, six.local.port)
    assert.ok(readable(four))
    assert.equal(six.accept(), undefined)
    const far = four.accept()
    for (const one of [near, far, four, six]) one?.close()
  })

  test('on an address that is taken, or not here, is a sentence; with freeBind it waits for the address', () => {
    const listener = new TcpListener({ address: here, port: 0 })
    const free = readdirSync('/proc/self/fd').length
    assert.throws(() => new TcpListener(listener.local), { code: 'EADDRINUSE' })
    const absent = { address: address('192.0.2.1'), port: 0 }
    assert.throws(() => new TcpListener(absent), { code: 'EADDRNOTAVAIL' })
    assert.equal(readdirSync('/proc/self/fd').length, free)
    new TcpListener(absent, { freeBind: true }).close()
    new TcpListener({ address: address('2001:db8::1'), port: 0 }, { freeBind: true }).close()
    listener.close()
  })
})

/** Two namespaces on a wire. */
class Wire {
  readonly net = new ScratchNetwork()
  readonly near = this.net.namespace()
  readonly far = this.net.namespace()
  readonly #open: { close(): void }[] = []

  constructor() {
    this.net.wire(
      { namespace: this.near, name: 'wire', addresses: ['10.0.0.1/24', '2001:db8::1/64'] },
      { namespace: this.far, name: 'wire', addresses: ['10.0.0.2/24', '2001:db8::2/64'] },
    )
  }

  listen(at: string, options: TcpOptions = {}): TcpListener {
    return this.#keep(withNamespace(this.far, () => new TcpListener({ address: address(at), port: 179 }, options)))
  }

  connect(to: string, options: ConnectOptions = {}): TcpSocket {
    return this.#keep(withNamespace(this.near, () => connect(address(to), 179, options)))
  }

  accept(listener: TcpListener): TcpSocket {
    assert.ok(readable(listener))
    return this.#keep(listener.accept()!)
  }

  #keep<T extends { close(): void }>(one: T): T {
    this.#open.push(one)
    return one
  }

  [Symbol.dispose](): void {
    for (const one of this.#open) one.close()
    this.net[Symbol.dispose]()
  }
}

const hostPrefix = (text: string) => parsePrefix(`${text}/${text.includes(':') ? 128 : 32}`)!

describe('over a wire', { skip: unprivileged }, () => {
  for (const [version, near, far, prefix] of [
    ['IPv4', '10.0.0.1', '10.0.0.2', '10.0.0.0/24'],
    ['IPv6', '2001:db8::1', '2001:db8::2', '2001:db8::/64'],
  ] as const) {
    test(`TCP-MD5 over ${version}: the right key connects, a wrong one or none meets silence`, () => {
      using wire = new Wire()
      const keyed = (peer: string, key: string) => ({ md5Keys: [{ peers: hostPrefix(peer), key: bytes(key) }] })
      const listener = wire.listen(far, keyed(near, 'secret'))
      const right = wire.connect(far, keyed(far, 'secret'))
      const accepted = wire.accept(listener)
      assert.ok(writable(right) && right.connected())
      right.send(bytes('signed'))
      assert.equal(received(accepted), 'signed')
      const wrong = wire.connect(far, keyed(far, 'secreT'))
      const none = wire.connect(far)
      assert.equal(new PollSet([wrong.fd, none.fd, listener.fd], POLLIN | POLLOUT).wait(SILENCE_MS), 0)
      listener.removeMd5Key(hostPrefix(near))
      listener.removeMd5Key(hostPrefix(near))
      assert.ok(readable(listener), 'the one without a key tries again, and none is asked for')
    })

    test(`TCP-MD5 over ${version}: a prefix has one key for all of its peers, added to a listener that runs`, () => {
      using wire = new Wire()
      const listener = wire.listen(far)
      listener.setMd5Key({ peers: parsePrefix(prefix)!, key: bytes('many') })
      const right = wire.connect(far, { md5Keys: [{ peers: hostPrefix(far), key: bytes('many') }] })
      wire.accept(listener)
      assert.ok(writable(right) && right.connected())
    })

    test(`GTSM over ${version}: who comes with less than 255 meets silence`, () => {
      using wire = new Wire()
      const listener = wire.listen(far, { ttl: 255, minimumTtl: 255 })
      const distant = wire.connect(far, { ttl: 254 })
      assert.equal(new PollSet([distant.fd, listener.fd], POLLIN | POLLOUT).wait(SILENCE_MS), 0)
      const close = wire.connect(far, { ttl: 255, minimumTtl: 255, trafficClass: 0xc0 })
      const accepted = wire.accept(listener)
      assert.ok(writable(close) && close.connected())
      accepted.send(bytes('near'))
      assert.equal(received(close), 'near')
      accepted.set({ ttl: 64 })
      accepted.send(bytes('far'))
      assert.equal(readable(close, SILENCE_MS), false, 'the connection is held to it, not the listener alone')
    })
  }

  test('a peer that is gone without a word is a time-out, when the connection is told how long to wait', () => {
    using wire = new Wire()
    const listener = wire.listen('10.0.0.2')
    const near = wire.connect('10.0.0.2', { userTimeout_ms: 500, device: 'wire' })
    wire.accept(listener)
    assert.ok(writable(near) && near.connected())
    ip('-n', wire.far, 'link', 'set', 'wire', 'down')
    near.send(bytes('anybody?'))
    assert.ok(readable(near))
    assert.equal(near.receive(new Uint8Array(8)), FAILED)
    assert.match(near.failure!.reason, /timed-out|unreachable/)
  })

  test('a connection without a route is unreachable at once', () => {
    using wire = new Wire()
    const none = withNamespace(wire.near, () => TcpSocket.connect({ address: address('192.0.2.1'), port: 179 }))
    assert.ok(none instanceof TcpFailure)
    assert.equal(none.reason, 'unreachable')
  })
})
