import { deepEqual, equal, match, rejects, throws } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { Lab, sweep } from './namespaces.ts'
import { needs } from './needs.ts'

const skip = needs('ip')

const namespacesOf = (id: string): string[] => readdirSync('/run/netns').filter((name) => name.startsWith(`${id}-`))

/** Not counting the remains of a process that nobody has asked after. */
const isRunning = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')

suite('a lab', { skip }, () => {
  test('is made on hosts without IPv6 too, and takes no other setting that is not there', async () => {
    await using lab = await Lab.open()
    await lab.addNamespaces(['old'], { 'net/ipv6/conf/no-such-interface/disable_ipv6': 1 })
    throws(() => lab.set('old', { 'net/ipv4/conf/no-such-interface/rp_filter': 1 }), { code: 'ENOENT' })
  })

  test('has wires that the kernel talks over, with checksums finished', async () => {
    await using lab = await Lab.open()
    await lab.addNamespaces(['left', 'right'], { 'net/ipv4/icmp_ratelimit': 0 })
    await lab.addLinks([
      {
        a: { namespace: 'left', interface: 'wire', addresses: ['192.0.2.1/31', '2001:db8::1/64'] },
        b: {
          namespace: 'right',
          interface: 'wire',
          addresses: ['192.0.2.0/31', '2001:db8::2/64'],
          mac: '02:00:00:00:00:07',
        },
        mtu: 1700,
        queues: 2,
      },
    ])
    const seen = await lab.run('right', 'ip', '-j', 'link', 'show', 'wire')
    const [device] = JSON.parse(seen) as [{ mtu: number; address: string; num_tx_queues: number }]
    equal(device.mtu, 1700)
    equal(device.address, '02:00:00:00:00:07')
    const program = `
      const net = require('node:net')
      net.connect(7, process.argv[1]).on('data', (data) => { process.stdout.write(data); process.exit() })`
    const echo = `require('node:net').createServer((s) => s.end('heard')).listen(7, () => process.stdout.write('up'))`
    const server = lab.spawn('right', process.execPath, ['-e', echo], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(server.stdout!, 'data')
    for (const address of ['192.0.2.0', '2001:db8::2'])
      equal(await lab.run('left', process.execPath, '-e', program, address), 'heard')
  })

  test('says which line iproute2 refused', async () => {
    await using lab = await Lab.open()
    await lab.addNamespaces(['one'])
    await rejects(lab.configure(new Map([['one', ['link set lo up', 'link set nothing up']]])), /link set nothing up/)
  })

  test('is gone with all that ran in it', async () => {
    const lab = await Lab.open()
    await lab.addNamespaces(['one'])
    const grandchild = `require('node:child_process').spawn('sleep', ['1000'], { detached: true }).unref(); console.log('up')`
    const child = lab.spawn('one', process.execPath, ['-e', grandchild], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout!, 'data')
    const stubborn = `process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)`
    const other = lab.spawn(undefined, process.execPath, ['-e', stubborn], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(other.stdout!, 'data')
    const exits = Promise.all([once(child, 'exit'), once(other, 'exit')])
    await lab.close(200)
    await exits
    deepEqual(namespacesOf(lab.id), [])
    equal(existsSync(lab.folder), false)
  })

  test('of a killed owner is swept away by the next, one of a living owner is not', async () => {
    await using mine = await Lab.open()
    await mine.addNamespaces(['mine'])
    const script = `
      const { Lab } = await import(${JSON.stringify(new URL('./namespaces.ts', import.meta.url).href)})
      const lab = await Lab.open()
      await lab.addNamespaces(['orphan'])
      const child = lab.spawn('orphan', 'sleep', ['1000'], { stdio: 'ignore', detached: true })
      console.log(JSON.stringify({ id: lab.id, sleeper: child.pid }))
      setInterval(() => {}, 1000)`
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(owner.stdout, 'data')
    const { id, sleeper } = JSON.parse(line)
    await sweep()
    deepEqual(namespacesOf(id), [`${id}-orphan`], 'its owner lives')
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    await sweep()
    deepEqual(namespacesOf(id), [])
    equal(isRunning(sleeper), false)
    match(namespacesOf(mine.id).join(), /mine/)
  })
})
