import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CarrierReader, channels, linkSpeed_mbit, type Offload, offload, setChannels, setOffloads } from './ethtool.ts'
import { withNamespace } from './namespace.ts'
import { ip, ScratchNetwork, unprivileged } from './scratch.ts'

test('offloads, channels, carrier and speed are read and set', { skip: unprivileged }, () => {
  using net = new ScratchNetwork()
  const namespace = net.namespace()
  net.wire({ namespace, name: 'left' }, { namespace, name: 'right' }, { queues: 4 })
  withNamespace(namespace, () => {
    for (const on of [true, false]) {
      for (const which of ['tx-checksum', 'scatter-gather', 'tso', 'gso', 'gro'] as Offload[]) {
        setOffloads('left', { [which]: on })
        assert.equal(offload('left', which), on, which)
      }
    }
    setChannels('left', 2)
    assert.deepEqual(channels('left'), { receive: 2, transmit: 2, receiveMax: 4, transmitMax: 4 })
    const carrier = new CarrierReader()
    assert.deepEqual(
      ['left', 'middle', 'left', 'lo'].map((name) => carrier.of(name)),
      [true, false, true, true],
    )
    ip('-n', namespace, 'link', 'set', 'right', 'down')
    assert.equal(carrier.of('left'), false)
    carrier.close()
    ip('-n', namespace, 'link', 'set', 'right', 'up')
    assert.equal(linkSpeed_mbit('left'), 10_000)
    assert.equal(linkSpeed_mbit('lo'), undefined)
    assert.throws(() => channels('middle'), { code: 'ENODEV', message: /there is no interface middle here/ })
  })
})
