import { randomBytes, randomUUID } from 'node:crypto';
import type { Compare, Op } from '@cable/store';

/** What a store is asked. */
export type Transaction = { readonly compares: readonly Compare[]; readonly ops: readonly Op[] };

/** Objects that the ports of a peer refer to, under a prefix of their own. */
export type PeerParents = { readonly network: string; readonly subnet: string; readonly group: string };

/** Chosen anew, so that what an earlier run left is in nobody's way. */
export function createParents(): PeerParents {
  const prefix = `/bench/${randomUUID()}`;
  const key = (type: string): string => `${prefix}/o/${type}/${randomUUID()}`;
  return { network: key('network'), subnet: key('subnet'), group: key('security_group') };
}

/** Puts the parents, each as large as such an object is. */
export function parentsTransaction({ network, subnet, group }: PeerParents): Transaction {
  const value = JSON.stringify({ text: 'x'.repeat(400) });
  return { compares: [], ops: [network, subnet, group].map((key) => ({ kind: 'put', key, value })) };
}

/**
 * The transaction that a server makes of `POST /v2.0/ports` with a network: that the port is new, that network, subnet and group are there, that MAC and address are free;
 * puts of the port (some 800 bytes), of the two claims and of the reference to the group.
 */
export function portTransaction(parents: PeerParents, value: string): Transaction {
  const id = randomUUID();
  const tail = randomBytes(6).toString('hex');
  const port = parents.network.replace(/network\/.*/, `port/${id}`);
  const mac = `${parents.network}/mac=${tail}`;
  const address = `${parents.subnet}/ip=${tail}`;
  return {
    compares: [
      { kind: 'modRevision', key: port, revision: 0 },
      ...[parents.network, parents.subnet, parents.group].map((key): Compare => ({ kind: 'exists', key })),
      { kind: 'absent', key: mac },
      { kind: 'absent', key: address },
    ],
    ops: [
      { kind: 'put', key: port, value },
      { kind: 'put', key: mac, value: id },
      { kind: 'put', key: address, value: id },
      { kind: 'put', key: `${parents.group}/port/${id}`, value: '' },
    ],
  };
}
