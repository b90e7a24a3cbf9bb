import { Lab } from '../lab/namespaces.ts'
import { NAMESPACE } from './bgp/daemons.ts'
import { routeRows } from './control/routes.ts'

await using lab = await Lab.open()
await lab.addNamespaces([NAMESPACE])
const rows = await routeRows(lab, { quick: false, say: console.error, plot() {} })
for (const { what, value } of rows) console.log(value!.toFixed(4), what)
