import assert from 'node:assert/strict'
import { test } from 'node:test'
import { channels, hasCarrier, linkSpeed_mbit, type Offload, offload, setChannels, setOffloads } from './ethtool.ts'
import { withNamespace } from './namespace.ts'
import { ScratchNetwork, unprivileged } from './scratch.ts'

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
    assert.equal(hasCarrier('left'), true)
    assert.equal(linkSpeed_mbit('left'), 10_000)
    assert.equal(linkSpeed_mbit('lo'), undefined)
    assert.throws(() => hasCarrier('middle'), { code: 'ENODEV', message: /there is no interface middle here/ })
  })
})
