/** A network: a switch, and for one on a physical network the port by which that is reached. */
import { localnetName, switchName } from './names.ts';
import type { Network } from './neutron.ts';
import { type WantedRow, wantedRow } from './wanted-row.ts';

export function networkRows(key: string, network: Network): readonly WantedRow[] {
  const ids = { 'neutron:network_name': network.name, 'cable:revision': String(network.revision) };
  const own = wantedRow('Logical_Switch', key, { columns: { name: switchName(network.id) }, ids });
  return network.physicalNetwork === null ? [own] : [own, localnet(key, network, network.physicalNetwork)];
}

function localnet(key: string, network: Network, physicalNetwork: string): WantedRow {
  return wantedRow('Logical_Switch_Port', `${key}#localnet`, {
    columns: {
      name: localnetName(network.id),
      type: 'localnet',
      addresses: ['unknown'],
      tag: network.tag === null ? [] : [network.tag],
      options: { network_name: physicalNetwork },
    },
    holders: [{ key, column: 'ports' }],
  });
}
