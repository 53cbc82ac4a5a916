/** What Octavia's API has and the data plane has not: refused by name, never taken and passed over. */
import { CableError } from '@cable/model';

/** Why an option is not there; `remedy`: what to give in its place. */
export function unsupported(option: string, remedy: string): CableError {
  return new CableError(
    'ProviderUnsupportedOptionError',
    `Provider 'cable' does not support a requested option: ${option}`,
    { detail: remedy },
  );
}

/** What is refused of an attribute: any value but this one. */
export type Fixed = { readonly value: unknown; readonly remedy: string };

/** Throws `ProviderUnsupportedOptionError`, which names the first attribute that has another value than the only one there is. */
export function refuseUnsupported(
  object: Readonly<Record<string, unknown>>,
  fixed: Readonly<Record<string, Fixed>>,
): void {
  for (const [name, { value, remedy }] of Object.entries(fixed)) {
    const given = object[name];
    if (given === undefined || given === null || JSON.stringify(given) === JSON.stringify(value)) continue;
    throw unsupported(name, remedy);
  }
}

/** Protocols of layer 4: those there are. */
const PROTOCOLS: ReadonlySet<string> = new Set(['TCP', 'UDP', 'SCTP']);

/** Throws `ProviderUnsupportedOptionError` for a protocol of another layer. */
export function refuseLayer7(protocol: string): void {
  if (PROTOCOLS.has(protocol)) return;
  throw unsupported(`protocol ${protocol}`, 'Give TCP, UDP or SCTP: what is in connections is not looked at.');
}
