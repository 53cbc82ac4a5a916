import {
  CB_ENDPOINT_REMOTE,
  CB_FLOOD_TUNNEL,
  CB_PEER_F_MIRROR,
  type CbNet,
  type CbVif,
  cbClass,
  cbEndpoint,
  cbFlood,
  cbIn,
  cbNet,
  cbPeer,
  cbVif,
  MAPS,
} from '../../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, type Codec, textBytes } from '../../bpf/codec.ts';
import type { AgentMap, MapEntry } from '../../desired.ts';
import { isRowMap, type RowMap } from '../rows.ts';

export type Maps = Record<AgentMap, Map<string, MapEntry>>;

/** How many rules a class has, and how many addresses point at it, so that a check costs nothing that grows. */
type ClassUse = { rules: number; addresses: number };

type Row = CbVif | CbNet;

/** What would be wrong for packets in flight is refused: a throw that is a defect, not a refusal of the kernel. */
export class OrderCheck {
  readonly #maps: Maps;
  readonly #attached: ReadonlySet<number>;
  readonly #mayDeny: (policy: number) => boolean;
  readonly #uses = new Map<string, ClassUse>();
  /** Rows whose last owner's flows have not been ended. */
  readonly #unpurged: Readonly<Record<RowMap, Set<number>>> = { cb_vif_2: new Set(), cb_net_1: new Set() };

  /** `mayDeny`: of which policies classes may have no rule at all. */
  constructor(maps: Maps, attached: ReadonlySet<number>, mayDeny: (policy: number) => boolean) {
    this.#maps = maps;
    this.#attached = attached;
    this.#mayDeny = mayDeny;
  }

  /** The entry of the key comes to be, or goes. */
  count(map: AgentMap, key: ByteText, by: 1 | -1): void {
    const entry = this.#maps[map].get(key);
    if (entry === undefined) return;
    if (map === 'cb_rule_1') this.#useOf(map, entry).rules += by;
    if (map === 'cb_class_1') this.#useOf(map, entry).addresses += by;
  }

  purge(kind: 'vif' | 'network', id: number): void {
    const map = kind === 'vif' ? 'cb_vif_2' : 'cb_net_1';
    check(!this.#owned(map, id), `flows of ${kind} ${id} ended while it has an owner`);
    this.#unpurged[map].delete(id);
  }

  checkPut(map: AgentMap, entry: MapEntry): void {
    const value = textBytes(entry.value);
    if (map === 'cb_class_1') {
      const { policy } = MAPS.cb_class_1.key.decode(textBytes(entry.key));
      const hasRules = this.#useOf(map, entry).rules > 0 || this.#mayDeny(policy);
      check(hasRules, `class ${cbClass.decode(value).classId} before its rules`);
    } else if (map === 'cb_ep_2' || map === 'cb_mac_2') {
      const { kind, tunnel } = cbEndpoint.decode(value);
      if (kind === CB_ENDPOINT_REMOTE) this.#needTunnel(tunnel, 'endpoint');
    } else if (map === 'cb_flood_2') this.#checkFlood(entry.key, value);
    else if (map === 'cb_peer_2') {
      const { net, tunnel, flags, vif } = cbPeer.decode(value);
      if ((flags & CB_PEER_F_MIRROR) !== 0) check(this.#owned('cb_vif_2', vif), `copies before their VIF ${vif}`);
      else check(this.#owned('cb_net_1', net), `peer before its network ${net}`);
      this.#needTunnel(tunnel, 'peer');
    } else if (map === 'cb_in_1') {
      const { vif } = cbIn.decode(value);
      check(this.#owned('cb_vif_2', vif), `device before its VIF ${vif}`);
    } else if (isRowMap(map)) this.#checkRow(map, entry);
  }

  checkDelete(map: AgentMap, entry: MapEntry): void {
    check(!isRowMap(map), `a row of ${map} deleted, its epoch with it`);
    if (map !== 'cb_rule_1' || !this.#maps.cb_rule_1.has(entry.key)) return;
    const { rules, addresses } = this.#useOf(map, entry);
    const { policy, classId } = MAPS.cb_rule_1.key.decode(textBytes(entry.key));
    check(
      rules > 1 || addresses === 0 || this.#mayDeny(policy),
      `last rule of class ${classId} removed under its addresses`,
    );
  }

  #checkFlood(key: ByteText, value: Uint8Array): void {
    const { net, list } = MAPS.cb_flood_2.key.decode(textBytes(key));
    const row = this.#row('cb_net_1', net);
    check(
      row === undefined || cbNet.decode(row).floodList !== list,
      `flood list ${list} of ${net} written while it counts`,
    );
    const { count, target } = cbFlood.decode(value);
    for (const { kind, id } of target.slice(0, count)) if (kind === CB_FLOOD_TUNNEL) this.#needTunnel(id, 'flood list');
  }

  #checkRow(map: RowMap, entry: MapEntry): void {
    const id = arrayIndex.decode(textBytes(entry.key));
    const codec: Codec<Row> = map === 'cb_vif_2' ? (cbVif as Codec<Row>) : (cbNet as Codec<Row>);
    const known = this.#row(map, id) ?? new Uint8Array(codec.size);
    const before = codec.decode(known);
    const value = textBytes(entry.value);
    const after = codec.decode(value);
    const name = `row ${id} of ${map}`;
    const step = (after.epoch - before.epoch) >>> 0;
    check(step <= 1, `the epoch of ${name} goes from ${before.epoch} to ${after.epoch}`);
    const [old, now] = [fieldsOf(codec, before), fieldsOf(codec, after)];
    if (old !== now) {
      check(step === 0, `epoch and fields of ${name} change at once`);
      check(after.epoch % 2 === 1, `fields of ${name} change under an even epoch`);
      this.#checkOwner(map, id, known, value);
    }
    if (map === 'cb_vif_2' && hasOwner(value)) this.#checkVif(id, cbVif.decode(value));
    if (map === 'cb_net_1' && hasOwner(value)) this.#checkList(id, cbNet.decode(value));
  }

  #checkOwner(map: RowMap, id: number, before: Uint8Array, after: Uint8Array): void {
    if (hasOwner(before) && !hasOwner(after)) this.#unpurged[map].add(id);
    if (!hasOwner(after)) return;
    const same = Buffer.compare(before.subarray(0, 16), after.subarray(0, 16)) === 0;
    check(same || !hasOwner(before), `row ${id} of ${map} goes from one owner to another`);
    check(!this.#unpurged[map].has(id), `row ${id} of ${map} given out before the flows of the last owner were ended`);
  }

  #checkVif(id: number, { net, ifindex, policy }: CbVif): void {
    check(this.#owned('cb_net_1', net), `VIF ${id} before its network ${net}`);
    check(this.#attached.has(ifindex), `VIF ${id} before its program`);
    check(policy !== 0, `VIF ${id} with a policy that allows nothing`);
  }

  #checkList(net: number, { floodList, floodChunks }: CbNet): void {
    for (let chunk = 0; chunk < floodChunks; chunk += 1) {
      const key = MAPS.cb_flood_2.key.text({ net, list: floodList, purpose: 0, chunk });
      check(this.#maps.cb_flood_2.has(key), `flood list ${floodList} of ${net} counts before its chunk ${chunk}`);
    }
  }

  #needTunnel(tunnel: number, what: string): void {
    check(this.#maps.cb_tunnel_1.has(arrayIndex.text(tunnel)), `${what} before its tunnel ${tunnel}`);
  }

  #row(map: RowMap, id: number): Uint8Array | undefined {
    const entry = this.#maps[map].get(arrayIndex.text(id));
    return entry === undefined ? undefined : textBytes(entry.value);
  }

  #owned(map: RowMap, id: number): boolean {
    const row = this.#row(map, id);
    return row !== undefined && hasOwner(row);
  }

  #useOf(map: 'cb_rule_1' | 'cb_class_1', entry: MapEntry): ClassUse {
    const key = textBytes(entry.key);
    const { policy, classId } =
      map === 'cb_rule_1'
        ? MAPS.cb_rule_1.key.decode(key)
        : { ...MAPS.cb_class_1.key.decode(key), ...cbClass.decode(textBytes(entry.value)) };
    const name = `${policy} ${classId}`;
    const use = this.#uses.get(name) ?? { rules: 0, addresses: 0 };
    this.#uses.set(name, use);
    return use;
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`wrong order: ${what}`);
}

function hasOwner(row: Uint8Array): boolean {
  return row.subarray(0, 16).some((byte) => byte !== 0);
}

/** All that decisions rest on: not the epoch, nor which flood list counts. */
function fieldsOf(codec: Codec<Row>, row: Row): ByteText {
  return codec.text({ ...row, epoch: 0, ...('floodList' in row ? { floodList: 0, floodChunks: 0 } : {}) });
}
