/**
 * The slots of cb_enter_1: which programs the dispatchers on the devices go on in. The array is pinned, so what is in it runs on without an
 * agent; a slot is written over, never emptied, and each packet meets the old program or the new one.
 *
 *     entries            bank 0                       bank 1
 *     vif overlay …      vif overlay … decide arp …   vif overlay … decide arp …
 *
 * A load of the programs fills the bank that no entry is of, then writes the entries. Its programs call those of their own bank only. The
 * entries of later builds (the underlay's, the fragmenter's) may be empty: then nothing is taken there. A build from before them writes the others only.
 */
import { closeSync } from 'node:fs';
import {
  CB_BANK_SLOTS,
  CB_BANKS,
  CB_ENTRIES,
  CB_ENTRY_FRAG,
  CB_ENTRY_OVERLAY,
  CB_ENTRY_SERVICE,
  CB_ENTRY_UPLINK,
  CB_ENTRY_VIF,
  CB_STAGE_ARP,
  CB_STAGE_ASK,
  CB_STAGE_DECIDE,
  CB_STAGE_FLOOD,
  CB_STAGE_GROUP,
  CB_STAGE_MIRRORED,
  CB_STAGE_ND,
  CB_STAGE_ORPHAN,
  CB_STAGE_OUTSIDE,
  CB_STAGE_PROBE,
  CB_STAGE_QUEUED,
  CB_STAGE_REFUSE,
  CB_STAGE_RELAY,
  CB_STAGE_SEEK,
  CB_STAGE_SERVICE,
  CB_STAGE_TRANSLATE,
} from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { type BpfMap, fdById } from '../bpf/map.ts';
import type { BpfProgram } from '../bpf/program.ts';
import { BPF_CMD } from '../bpf/syscall.ts';

/** Kinds of devices: those of guests, the VXLAN device, the vrouter's ends of the links to the services and to the fragmenter, those of the underlay. */
export type EntryName = 'vif' | 'overlay' | 'service' | 'frag' | 'uplink';

/** Of one kind: its entry, the program that does its work, and the dispatcher that is on the devices. */
type Entry = { readonly slot: number; readonly program: string; readonly dispatcher: string };

export const ENTRY: Readonly<Record<EntryName, Entry>> = {
  service: { slot: CB_ENTRY_SERVICE, program: 'from_service', dispatcher: 'enter_service' },
  overlay: { slot: CB_ENTRY_OVERLAY, program: 'from_overlay', dispatcher: 'enter_overlay' },
  uplink: { slot: CB_ENTRY_UPLINK, program: 'from_uplink', dispatcher: 'enter_uplink' },
  frag: { slot: CB_ENTRY_FRAG, program: 'from_frag', dispatcher: 'enter_frag' },
  vif: { slot: CB_ENTRY_VIF, program: 'from_vif', dispatcher: 'enter_vif' },
};

/** In the order in which they are written; VIFs, which most packets come from, last. */
export const ENTRY_NAMES: readonly EntryName[] = ['service', 'overlay', 'frag', 'uplink', 'vif'];

/** Entries that an older build does not have; what comes by such a device can do without a program. */
const LATER_NAMES: readonly EntryName[] = ['frag', 'uplink'];

/** Those that every build has. */
export const OVERLAY_NAMES: readonly EntryName[] = ENTRY_NAMES.filter((name) => !LATER_NAMES.includes(name));

/** Programs that others of the same bank go on in, by name. */
const STAGES: Readonly<Record<string, number>> = {
  decide: CB_STAGE_DECIDE,
  arp: CB_STAGE_ARP,
  group: CB_STAGE_GROUP,
  flood: CB_STAGE_FLOOD,
  service: CB_STAGE_SERVICE,
  refuse: CB_STAGE_REFUSE,
  nd: CB_STAGE_ND,
  orphan: CB_STAGE_ORPHAN,
  outside: CB_STAGE_OUTSIDE,
  translate: CB_STAGE_TRANSLATE,
  ask_neighbour: CB_STAGE_ASK,
  seek: CB_STAGE_SEEK,
  queued: CB_STAGE_QUEUED,
  probe: CB_STAGE_PROBE,
  mirrored: CB_STAGE_MIRRORED,
  relay: CB_STAGE_RELAY,
};

type Slots = Pick<BpfMap, 'lookup' | 'update' | 'delete'>;

/** Puts a load of the programs into its bank; nothing calls them yet. */
export function fillBank(slots: Slots, bank: number, programs: ReadonlyMap<string, BpfProgram>): void {
  for (const [name, stage] of Object.entries(STAGES)) put(slots, bankSlot(bank, stage), required(programs, name).fd);
  for (const { slot, program } of Object.values(ENTRY)) {
    put(slots, bankSlot(bank, slot), required(programs, program).fd);
  }
}

/** Makes a filled bank's programs those of all devices of these kinds that have a dispatcher. */
export function enterBank(slots: Slots, bank: number, names: readonly EntryName[] = ENTRY_NAMES): void {
  for (const name of names) enterOne(slots, bank, name);
}

function enterOne(slots: Slots, bank: number, name: EntryName): void {
  const { slot, program } = ENTRY[name];
  const id = programAt(slots, bankSlot(bank, slot));
  if (id === undefined) throw new Error(`bank ${bank} of cb_enter_1 has no ${program}`);
  putById(slots, slot, id);
}

/** Makes a program with this id, which is on devices itself, that of the dispatchers of its kind. */
export function enterProgram(slots: Slots, name: EntryName, id: number): void {
  if (programAt(slots, ENTRY[name].slot) !== id) putById(slots, ENTRY[name].slot, id);
}

/** Ids of the programs that dispatchers go on in. */
export function programsInForce(slots: Slots): readonly number[] {
  return ENTRY_NAMES.flatMap((name) => programAt(slots, ENTRY[name].slot) ?? []);
}

/**
 * The bank to load the next programs into. Entries of both banks: an agent was killed while it wrote them, or of a build from before one of them. What it
 * began is completed first: no bank is free otherwise.
 */
export function spareBank(slots: Slots): number {
  const banks = ENTRY_NAMES.map((name) => bankOf(slots, ENTRY[name].slot));
  const [begun] = banks.filter((bank) => bank !== undefined);
  if (begun === undefined) return 0;
  if (banks.some((bank) => bank !== undefined && bank !== begun)) complete(slots, begun);
  return (begun + 1) % CB_BANKS;
}

/** The later entries are emptied: their program in this bank may be of a load before, with which the others of the bank do not go together. */
function complete(slots: Slots, bank: number): void {
  for (const name of LATER_NAMES) slots.delete(arrayIndex.encode(ENTRY[name].slot));
  enterBank(slots, bank, OVERLAY_NAMES);
}

/** Which bank's program an entry holds; undefined: none, or one of another build that had no banks. */
function bankOf(slots: Slots, entry: number): number | undefined {
  const id = programAt(slots, entry);
  if (id === undefined) return undefined;
  return Array.from({ length: CB_BANKS }, (_, bank) => bank).find(
    (bank) => programAt(slots, bankSlot(bank, entry)) === id,
  );
}

function bankSlot(bank: number, within: number): number {
  return CB_ENTRIES + bank * CB_BANK_SLOTS + within;
}

/** Id of the program; undefined: the slot is empty. */
function programAt(slots: Slots, slot: number): number | undefined {
  const value = slots.lookup(arrayIndex.encode(slot));
  return value === undefined ? undefined : arrayIndex.decode(value);
}

function put(slots: Slots, slot: number, fd: number): void {
  slots.update(arrayIndex.encode(slot), arrayIndex.encode(fd));
}

function putById(slots: Slots, slot: number, id: number): void {
  const fd = fdById(BPF_CMD.progFdById, id, `open program ${id}`);
  try {
    put(slots, slot, fd);
  } finally {
    closeSync(fd);
  }
}

function required(programs: ReadonlyMap<string, BpfProgram>, name: string): BpfProgram {
  const program = programs.get(name);
  if (program === undefined) throw new Error(`the vrouter object has no program ${name}`);
  return program;
}
