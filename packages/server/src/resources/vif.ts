import { vifKind } from '@cable/compiler';
import type { Port } from '@cable/model';
import type { Tables } from '../tables.ts';

/** How Nova plugs the port on a host; empty: on none. Computed when shown: a host may register after the port was bound to it. */
export function vifOf(tables: Tables, port: Port, host: string): Readonly<Record<string, unknown>> {
  if (host === '') return { 'binding:vif_type': 'unbound', 'binding:vif_details': {} };
  if (tables.of('host').get(host) === undefined) {
    return { 'binding:vif_type': 'binding_failed', 'binding:vif_details': {} };
  }
  return {
    'binding:vif_type': vifKind(port) === 'tap' ? 'tap' : 'other',
    'binding:vif_details': { port_filter: true, connectivity: 'l2' },
  };
}
