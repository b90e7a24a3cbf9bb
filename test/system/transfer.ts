/** TCP between two namespaces of a lab, from one kernel to another. */

import { once } from 'node:events'
import type { Lab } from '../../lab/namespaces.ts'

export const TRANSFER_BYTES = 2_000_000

/** Sends TRANSFER_BYTES from one namespace to a server in another; returns what the server counted. */
export async function transfer(lab: Lab, from: string, to: string, address: string): Promise<string> {
  const server = `
    const net = require('node:net')
    const server = net.createServer((socket) => {
      let bytes = 0
      socket.on('data', (data) => { bytes += data.length })
      socket.on('end', () => { socket.end(String(bytes)); server.close() })
    })
    server.listen(2222, '${address}', () => console.log('listening'))`
  const client = `
    const socket = require('node:net').connect(2222, '${address}')
    socket.on('data', (data) => process.stdout.write(data))
    socket.end(Buffer.alloc(${TRANSFER_BYTES}))`
  const listening = lab.spawn(to, process.execPath, ['-e', server], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(listening.stdout!, 'data')
  return await lab.run(from, process.execPath, '-e', client)
}
