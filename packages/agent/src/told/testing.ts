import { cbFlow, cbWay } from '../bpf/abi.gen.ts';
import { fieldAt } from '../bpf/codec.ts';

/** A record of cb_flow_2, as far as it is looked at of whether an address is in use. */
export function flowRecordOf({
  vif,
  expiresNs,
  life,
}: {
  readonly vif: number;
  readonly expiresNs: bigint;
  readonly life: number;
}): Uint8Array {
  const bytes = new Uint8Array(cbFlow.size);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(fieldAt(cbWay, 'expiresNs'), expiresNs, true);
  view.setBigUint64(fieldAt(cbFlow, 'life'), BigInt(life), true);
  view.setUint16(fieldAt(cbFlow, 'owner'), vif, true);
  return bytes;
}
