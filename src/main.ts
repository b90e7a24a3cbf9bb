/** The commands of `gatehouse`. Each is loaded when it is called, and only what it needs. */

import { Command, CommanderError } from 'commander'

const EXIT_CODES = `
Exit codes:
  0  done
  1  it failed; the reason is on standard error
  2  the command line is wrong
  3  the site file has errors; nothing was started or changed

\`gatehouse demo\` shows a whole virtual site with real traffic, \`gatehouse bench\` lists the benchmarks.`

const RUN_OPTION = ['--run <directory>', 'where the site runs; by default /run/gatehouse/SITE'] as const

const STATE_OPTION = [
  '--state <directory>',
  'what has to last: the files of the bus, what modules were told, logs; by default the directory of --run, or ' +
    '/var/lib/gatehouse/SITE without it',
] as const

const program = new Command('gatehouse')
  .description('A cloud gateway: tenants reach their virtual networks through it.')
  .addHelpText('after', EXIT_CODES)
  .exitOverride()

program
  .command('check')
  .description(
    'Is the site file right? Tells all errors with line and column, or what would come of it. Touches nothing.',
  )
  .argument('<site>', 'the site file')
  .option('--json', 'one JSON document')
  .action(async (site, options) => (await import('./commands/check.ts')).check(site, options))

program
  .command('up')
  .description(
    'Run all modules of a site on this host until SIGTERM or SIGINT. SIGHUP reads the site file again. When killed, ' +
      'modules go on, and the next `up` adopts them.',
  )
  .argument('<site>', 'the site file')
  .option(...RUN_OPTION)
  .option(...STATE_OPTION)
  .action(async (site, options) => (await import('./commands/up.ts')).up(site, options))

program
  .command('run')
  .description('Run one module in this process, until SIGTERM or SIGINT. `up` does this for every module.')
  .argument('<role>', 'bus, control, access, forwarding, routing or orchestrator')
  .argument('<site>', "the site file; of an orchestrator, the orchestrator's")
  .option('--name <name>', 'which switch, node or routing node of the site; by default the role')
  .option(...RUN_OPTION)
  .option(...STATE_OPTION)
  .action(async (role, site, options) =>
    role === 'orchestrator'
      ? (await import('./commands/run-orchestrator.ts')).runOrchestratorFile(site)
      : (await import('./commands/run.ts')).run(role, site, options),
  )

program
  .command('reload')
  .description(
    'Give a running site a new site file. Tenants that move are served at the new place before they leave the old.',
  )
  .argument('<site>', 'the site file')
  .option(...RUN_OPTION)
  .action(async (site, options) => (await import('./commands/reload.ts')).reload(site, options))

program
  .command('show')
  .description('The state of a running site, as its modules tell it.')
  .argument(
    '<thing>',
    'tenants, routes, sessions (or peers: of BGP), nodes, events, switches, attachments, balances, traffic (per tenant and ' +
      'node), probes (and BFD), counters, drops, modules or history (of a prefix in BGP, whether the site runs or not)',
  )
  .argument('[which]', 'routes, sessions and traffic of this tenant only; of history, the prefix')
  .option('--at <time>', 'of history: what held then, such as 2026-03-01T12:00:00Z; by default all changes')
  .option('--peer <name>', 'of history: this neighbour only')
  .option('--site <file>', 'of history: the site file, which says where it is')
  .option(...RUN_OPTION)
  .option(...STATE_OPTION)
  .option('--json', 'one JSON document')
  .action(async (thing, which, options) =>
    thing === 'history'
      ? (await import('./commands/show-history.ts')).showHistory(which, options)
      : (await import('./commands/show.ts')).show(thing, which, options),
  )

const explained = program.command('explain').description('Why something is as it is. Touches nothing.')

explained
  .command('packet')
  .description(
    'Where nodes send a packet of a tenant, by which policy, or why they drop it: by the code that forwards.',
  )
  .requiredOption('--tenant <name>', 'whose machine sends it')
  .requiredOption('--from <address>')
  .requiredOption('--to <address>')
  .option('--protocol <protocol>', 'tcp, udp or icmp', 'tcp')
  .option('--port <number>', 'that it goes to')
  .option('--source-port <number>')
  .option('--dscp <number>')
  .option(...RUN_OPTION)
  .option('--json', 'one JSON document')
  .action(async (options) => (await import('./commands/explain-packet.ts')).explainPacket(options))

explained
  .command('route')
  .description("What a neighbour's policies make of a route: every term that it meets, what is set, and the verdict.")
  .argument('<prefix>', 'such as 203.0.113.0/24')
  .requiredOption('--peer <name>', 'the neighbour that it comes from or goes to')
  .requiredOption('--direction <direction>', 'in or out')
  .option('--site <file>', 'the site file; by default that of the running site')
  .option('--from <name>', 'of a route on its way out, the neighbour that it came from')
  .option('--as-path <path>', 'AS numbers, the nearest first; by default that of the neighbour')
  .option('--next-hop <address>', 'by default the neighbour')
  .option('--origin <origin>', 'igp, egp or incomplete', 'igp')
  .option('--med <number>')
  .option('--local-preference <number>')
  .option('--community <community...>', 'of all three kinds: 65001:100, rt:65001:1, 65001:2:3', [])
  .option(...RUN_OPTION)
  .option('--json', 'one JSON document')
  .action(async (prefix, options) => (await import('./commands/explain.ts')).explain(prefix, options))

program
  .command('token')
  .description("Make a token for the orchestrator's API. It is printed once, with the line for the tokens file.")
  .argument('<name>', 'whose it is: the author of what is done with it')
  .requiredOption('--role <role>', 'viewer (reads), operator (changes tenants) or admin (sees who has tokens, too)')
  .option('--tenant <tenant...>', 'only of these')
  .action(async (name, options) => (await import('./commands/token.ts')).token(name, options))

program
  .command('schema')
  .description("The JSON Schema of our files, for editors, and the OpenAPI document of the orchestrator's API.")
  .argument('[what]', 'site, tenant, orchestrator, tokens or openapi', 'site')
  .action(async (what) => (await import('./commands/schema.ts')).schema(what))

try {
  await program.parseAsync()
} catch (error) {
  const { code, message } = error as Error & { code: unknown }
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (typeof code === 'number') {
    console.error(message)
    process.exitCode = code
  } else throw error
}
