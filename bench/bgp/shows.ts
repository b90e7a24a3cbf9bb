/** How long it takes to show sessions and how many routes there are, while a table loads and goes again. */

import { once } from 'node:events'
import { join } from 'node:path'
import type { Lab } from '../../lab/namespaces.ts'
import { type BenchOptions, type BenchRow, benchRow } from '../report.ts'
import type { Asked, FromAsked } from './asked-speaker.ts'
import { gatehouseSite, NAMESPACE } from './daemons.ts'
import { Peer, passOn } from './peers.ts'

export async function showRows(lab: Lab, routes: number, { say }: BenchOptions): Promise<BenchRow[]> {
  say(`what an operator asks while ${routes.toLocaleString('en-US')} routes load`)
  const file = join(import.meta.dirname, 'asked-speaker.ts')
  const args = ['--disable-warning=ExperimentalWarning', file, gatehouseSite()]
  const child = lab.spawn(NAMESPACE, process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const heard = async (): Promise<FromAsked> => ((await once(child, 'message')) as [FromAsked])[0]
  await heard()
  const receiver = new Peer(lab, { role: 'receiver', routes })
  const sender = new Peer(lab, { role: 'sender', routes })
  try {
    await Promise.all([receiver.next('up'), sender.next('up')])
    for (const kind of ['announce', 'withdraw'] as const) await passOn(sender, receiver, kind, routes)
    child.send({})
    const { p99_ms, longest_ms } = (await heard()) as Asked
    const what = `a show command while ${routes.toLocaleString('en-US')} routes load and go`
    return [
      benchRow({ what: `${what}: the longest`, value: longest_ms, unit: 'ms', bar: 50, better: 'lower' }),
      benchRow({ what: `${what}: p99`, value: p99_ms, unit: 'ms', better: 'lower' }),
    ]
  } finally {
    await Promise.all([sender.stop(), receiver.stop()])
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}
