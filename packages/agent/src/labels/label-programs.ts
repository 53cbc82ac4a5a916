/** The programs of vrouter/labels.bpf.c and their maps, which are pinned apart from the vrouter's: they are there only while a VPN is. */
import { closeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CB_LABELLED_MAX, cbLabelled } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { loadObject } from '../bpf/object.ts';
import { openPin, removePins } from '../bpf/pin.ts';
import type { BpfProgram } from '../bpf/program.ts';
import type { RodataValue } from '../bpf/rodata.ts';

export type LabelPrograms = {
  /** On what the device of the networks of VPNs sends. */
  readonly toLsp: BpfProgram;
  /** On what devices of the underlay receive. */
  readonly fromLsp: BpfProgram;
  readonly lsps: BpfMap;
  readonly labels: BpfMap;
  /** Packets by `CB_LABELLED_*`. */
  counts(): readonly bigint[];
  /** Closes the handles; what is pinned or attached lives on. */
  close(): void;
};

/** Name of the program on devices of the underlay: by it a restarted agent knows it. */
export const FROM_LSP = 'from_lsp';
const TO_LSP = 'to_lsp';
const OBJECT = 'labels.bpf.o';

/** Where these maps are pinned. */
function pinsIn(pinDir: string): string {
  return join(pinDir, 'labels');
}

/** Whether an agent has left any. */
export function hasLabelMaps(pinDir: string): boolean {
  const fd = openPin(join(pinsIn(pinDir), 'cb_lsp_1'));
  if (fd === undefined) return false;
  closeSync(fd);
  return true;
}

/** Without the pins the maps go with the last program that uses them. */
export function removeLabelMaps(pinDir: string): void {
  removePins(pinsIn(pinDir));
}

/** Loads them over the maps that are there. Throws as `loadObject`. `object`: path of the vrouter's. */
export function loadLabelPrograms(where: {
  readonly object: string;
  readonly pinDir: string;
  readonly config: Readonly<Record<string, RodataValue>>;
}): LabelPrograms {
  const { object, pinDir, config } = where;
  const loaded = loadObject({
    path: join(dirname(object), OBJECT),
    pinnedMaps: pinsIn(pinDir),
    rodata: config,
  });
  try {
    const [toLsp, fromLsp] = [loaded.programs.get(TO_LSP), loaded.programs.get(FROM_LSP)];
    const [lsps, labels, counts] = ['cb_lsp_1', 'cb_label_1', 'cb_labelled_1'].map((name) => loaded.maps.get(name));
    if (!toLsp || !fromLsp || !lsps || !labels || !counts) throw new Error(`${OBJECT} is not what it should be`);
    return {
      ...{ toLsp, fromLsp, lsps, labels },
      counts: () => Array.from({ length: CB_LABELLED_MAX }, (_, kind) => packetsOf(counts, kind)),
      close: () => loaded.close(),
    };
  } catch (err) {
    loaded.close();
    throw err;
  }
}

function packetsOf(counts: BpfMap, kind: number): bigint {
  const each = counts.lookupPerCpu(arrayIndex.encode(kind)) ?? [];
  return each.reduce((sum, one) => sum + cbLabelled.decode(one).packets, 0n);
}
