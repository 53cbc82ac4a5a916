import { vifKind } from '@cable/compiler';
import { type Host, type Network, type Port, TAP_BRIDGES, tapBridgeName } from '@cable/model';
import { PLUG } from '../engine/hidden.ts';
import type { Tables } from '../tables.ts';
import { isTunnelled } from './network-segment.ts';

/** How Nova plugs the port on a host; empty: on none. Computed when shown: a host may register after the port was bound to it. */
export function vifOf(tables: Tables, port: Port, host: string): Readonly<Record<string, unknown>> {
  if (host === '') return { 'binding:vif_type': 'unbound', 'binding:vif_details': {} };
  if ((port['cable:backend'] ?? null) !== null) return pluginsVif(port, host);
  const row = tables.of('host').get(host);
  const isRefused = host === port['binding:host_id'] && port.binding_failed;
  if (row === undefined || isRefused || !isOnWireOf(row, tables.of('network').get(port.network_id))) {
    return { 'binding:vif_type': 'binding_failed', 'binding:vif_details': {} };
  }
  return vifOn(row, port);
}

/** The same on a host that takes it. */
export function vifOn(
  { features = [] }: Pick<Host, 'features'>,
  port: Pick<Port, 'id' | 'device_owner' | 'binding:vnic_type'>,
): { readonly 'binding:vif_type': string; readonly 'binding:vif_details': Readonly<Record<string, unknown>> } {
  const details = { port_filter: true, connectivity: 'l2' };
  if (vifKind(port) !== 'tap') return { 'binding:vif_type': 'other', 'binding:vif_details': details };
  if (!(features ?? []).includes(TAP_BRIDGES)) return { 'binding:vif_type': 'tap', 'binding:vif_details': details };
  return { 'binding:vif_type': 'bridge', 'binding:vif_details': { ...details, bridge_name: tapBridgeName(port.id) } };
}

/** How a plug-in said that a port is plugged on a host, or why it is not there (`binding_failed`). */
export type Plug = {
  readonly host: string;
  readonly vif_type: string;
  readonly vif_details: object;
  readonly reason?: string;
};

/** Of each host that its plug-in was asked about, the active one first. */
export function plugsOf(port: object): readonly Plug[] {
  const plug = (port as { readonly [PLUG]?: (Plug & { readonly others?: readonly Plug[] }) | null })[PLUG];
  if (plug === undefined || plug === null) return [];
  const { others = [], ...active } = plug;
  return [active, ...others];
}

/** As its plug-in said when it was bound there. */
function pluginsVif(port: Port, host: string): Readonly<Record<string, unknown>> {
  const plug = plugsOf(port).find((one) => one.host === host);
  if (plug === undefined) return { 'binding:vif_type': 'binding_failed', 'binding:vif_details': {} };
  return { 'binding:vif_type': plug.vif_type, 'binding:vif_details': plug.vif_details };
}

/** Whether the host has an interface on the physical network that carries the port's network; a tunnelled one is everywhere. */
export function isOnWireOf(host: Host, network: Network | undefined): boolean {
  if (network === undefined || isTunnelled(network)) return true;
  return Object.hasOwn(host.bridge_mappings, network['provider:physical_network'] ?? '');
}
