/** Entries of the maps of vrouter/labels.bpf.c. */
import { CB_LSP_F_BACK, cbLabel, cbLabelKey, cbLsp, cbLspKey } from '../bpf/abi.gen.ts';
import type { ByteText } from '../bpf/codec.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import type { LabelRow } from '../plan/label-rows.ts';

/** How a remote is reached in the underlay. */
export type LabelHop = { readonly ifindex: number; readonly nexthop: string; readonly mtuBytes: number };

export type LabelEntries = {
  readonly lsps: ReadonlyMap<ByteText, ByteText>;
  readonly labels: ReadonlyMap<ByteText, ByteText>;
};

/** What the maps are to hold. `hopTo`: undefined: the remote cannot be reached, and nothing is sent there. */
export function labelEntries(rows: readonly LabelRow[], hopTo: (remote: string) => LabelHop | undefined): LabelEntries {
  const [lsps, labels] = [new Map<ByteText, ByteText>(), new Map<ByteText, ByteText>()];
  for (const row of rows) {
    const remote = row.remote === null ? NO_ADDRESS : parseAddress(row.remote);
    if (remote === undefined) continue;
    const { label, vlan, mac } = row;
    if (row.kind === 'label') {
      const value = row.remote === null ? { vlan: 0, mac: NO_MAC, from: NO_MAC } : { vlan, mac, from: row.from };
      labels.set(cbLabelKey.text({ label, remote }), cbLabel.text(value));
      continue;
    }
    const hop = row.remote === null ? undefined : hopTo(row.remote);
    const nexthop = hop === undefined ? undefined : parseAddress(hop.nexthop);
    if (hop === undefined || nexthop === undefined) continue;
    const { ifindex, mtuBytes } = hop;
    const flags = row.isBack === true ? CB_LSP_F_BACK : 0;
    lsps.set(cbLspKey.text({ vlan, mac }), cbLsp.text({ remote, nexthop, label, ifindex, mtuBytes, flags }));
  }
  return { lsps, labels };
}

const NO_MAC = new Uint8Array(6);
