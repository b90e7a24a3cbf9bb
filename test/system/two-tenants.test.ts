/**
 * The example of two tenants, brought up once for the tests of several files. The failures come last: in the end nobody is
 * in charge of the site any more.
 */

import './host-traffic.ts'
import './tenant-bgp.ts'
import './failures.ts'
