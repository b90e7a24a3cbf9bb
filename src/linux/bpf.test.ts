import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Assembler, Helper } from './assembler.ts'
import { BpfMap, MapType, XdpProgram } from './bpf.ts'
import { unprivileged } from './scratch.ts'

describe('BPF', { skip: unprivileged }, () => {
  test('a map holds what is set until it is deleted, and says when it is full', () => {
    const map = new BpfMap('pair', MapType.hash, 4, 2, 2)
    const [a, b, c] = [1, 2, 3].map((n) => Uint8Array.of(n, 0, 0, 0))
    map.set(a!, Uint8Array.of(7, 8))
    map.set(b!, Uint8Array.of(9, 9))
    assert.deepEqual(map.get(a!), Uint8Array.of(7, 8))
    assert.throws(() => map.set(c!, Uint8Array.of(0, 0)), { code: 'E2BIG', message: /the map is full/ })
    assert.deepEqual([map.delete(a!), map.delete(a!)], [true, false])
    assert.equal(map.get(a!), undefined)
    map.close()
  })

  test('an assembled program computes, jumps and reads the packet', () => {
    const code = new Assembler()
    code.load32('r2', 'r1', 0).load32('r3', 'r1', 4) // data, end
    code.move('r4', 'r2').add('r4', 14).jumpIf('r4', '>', 'r3', 'short')
    code.load16('r0', 'r2', 12).swap16('r0').jump('done')
    code.label('short').move('r0', 1)
    code.label('done').and('r0', 0xfff).or('r0', 0x1000).shiftLeft('r0', 4).shiftRight('r0', 4).exit()
    const program = new XdpProgram('reads', code.assemble())
    const frame = new Uint8Array(64)
    frame.set([0x86, 0xdd], 12)
    assert.equal(program.test(frame), 0x16dd)
    program.close()
  })

  test('a program leaves numbers of 64 bits in a map that is seen without a call', () => {
    const map = new BpfMap('seen', MapType.array, 4, 16, 1, true)
    const value = map.mapValue()
    const words = value.words(0, 4)
    words.set([5, 1], 0)
    const code = new Assembler()
    code.store32('r10', -4, 0).loadMap('r1', map.fd).move('r2', 'r10').add('r2', -4).call(Helper.mapLookup)
    code.jumpIf('r0', '==', 0, 'done').move('r6', 'r0').call(Helper.now_ns)
    code.load64('r1', 'r6', 0).subtract('r1', 6).store64('r6', 8, 'r1') // 2^32 + 5 - 6
    code.label('done').move('r0', 1).exit()
    const program = new XdpProgram('counts', code.assemble())
    assert.equal(program.test(new Uint8Array(64)), 1)
    assert.deepEqual([...words], [5, 1, 0xffffffff, 0])
    program.close()
    value.unmap()
    map.close()
  })

  test("a refused program's error holds the verifier's reason", () => {
    const code = new Assembler().load8('r0', 'r2', 0).exit().assemble()
    assert.throws(() => new XdpProgram('bad', code), {
      call: 'bpf(BPF_PROG_LOAD)',
      code: 'EACCES',
      message: /verifier refused the program\n[\s\S]*R2 !read_ok/,
    })
  })
})

test('a label that is missing or doubled is our own mistake', () => {
  assert.throws(() => new Assembler().jump('nowhere').assemble(), /no label nowhere/)
  assert.throws(() => new Assembler().label('here').label('here'), /stands twice/)
})
