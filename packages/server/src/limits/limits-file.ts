/** The operator's file of limits: projects that have others than the rest, and addresses that are not counted. */
import { readFileSync } from 'node:fs';
import { ExpectedError } from '@cable/kit';
import { type IpPrefix, parseIpOrCidr } from '@cable/model';
import { parse } from 'yaml';
import type { Share } from './shares.ts';

/** The file cannot be used; the message says why. */
export class LimitsFileError extends ExpectedError {
  override name = 'LimitsFileError';
}

/** What it says. */
export type LimitsFile = {
  /** What each says beside the limits of the rest, by id of the project. */
  readonly projects: ReadonlyMap<string, Partial<Share>>;
  readonly unlimited: readonly IpPrefix[];
};

const MOST_CHARACTERS = 4 << 20;

const NUMBERS: Readonly<Record<string, keyof Share>> = { rate: 'rate', burst: 'burst', in_flight: 'inFlight' };

/** Reads the file. Throws `LimitsFileError`. */
export function readLimitsFile(file: string): LimitsFile {
  try {
    return parseLimits(readFileSync(file, 'utf8'));
  } catch (err) {
    throw new LimitsFileError(`${file}: ${err instanceof Error ? err.message : String(err)}`);
  }
}

/** Reads its text, YAML or JSON. Throws an error without the file's name. */
export function parseLimits(text: string): LimitsFile {
  if (text.length > MOST_CHARACTERS) throw new Error(`it has more than ${MOST_CHARACTERS} characters`);
  const { projects, unlimited_addresses: unlimited, ...others } = mappingOf(parse(text) ?? {}, 'the file');
  refuseOthers(others, 'the file', ['projects', 'unlimited_addresses']);
  const byProject = Object.entries(mappingOf(projects ?? {}, 'projects'));
  return {
    projects: new Map(byProject.map(([id, said]) => [id, shareOf(said, `projects: ${id}`)])),
    unlimited: listOf(unlimited ?? []).map(prefixOf),
  };
}

function shareOf(value: unknown, where: string): Partial<Share> {
  const said = Object.entries(mappingOf(value, where));
  refuseOthers(Object.fromEntries(said.filter(([name]) => !Object.hasOwn(NUMBERS, name))), where, Object.keys(NUMBERS));
  return Object.fromEntries(said.map(([name, number]) => [NUMBERS[name], numberOf(number, `${where}: ${name}`)]));
}

function numberOf(value: unknown, where: string): number {
  if (typeof value === 'number' && value >= 0 && value <= 1_000_000) return value === 0 ? Infinity : value;
  throw new Error(`${where}: give a number up to 1000000; 0 is any number`);
}

function prefixOf(value: unknown): IpPrefix {
  const prefix = typeof value === 'string' ? parseIpOrCidr(value) : undefined;
  if (prefix !== undefined) return prefix;
  throw new Error(`unlimited_addresses: ${JSON.stringify(value)} is neither an address nor a prefix`);
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error('unlimited_addresses: give a list of addresses and prefixes');
}

function mappingOf(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${where}: give a mapping`);
}

function refuseOthers(others: Readonly<Record<string, unknown>>, where: string, known: readonly string[]): void {
  const [other] = Object.keys(others);
  if (other !== undefined) throw new Error(`${where}: ${other} is not known: give ${known.join(', ')}`);
}
