/** What the commands about a port's packets share. */
import type { Client } from '@cable/api';
import type { CliContext } from './context.ts';
import { createResolver } from './resolve.ts';

export type Named = { readonly id: string; readonly name: string };

export const PROTOCOL: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  47: 'gre',
  58: 'icmpv6',
  132: 'sctp',
};

export function findPort(context: CliContext, nameOrId: unknown): Promise<string> {
  return createResolver(context.client(), context)('port', String(nameOrId));
}

/** Id of the network. */
export function findNetwork(context: CliContext, nameOrId: unknown): Promise<string> {
  return createResolver(context.client(), context)('network', String(nameOrId));
}

/** `GET /cable/v1/ports/{id}/{what}`, or of networks. */
export function ask(
  client: Client,
  id: string,
  what: string,
  query: Readonly<Record<string, unknown>> = {},
  collection: 'ports' | 'networks' = 'ports',
): Promise<unknown> {
  const values = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null) values.set(name, String(value));
  const text = values.toString();
  return client.request('GET', `/cable/v1/${collection}/${id}/${what}${text === '' ? '' : `?${text}`}`);
}

/** An address and its port. */
export function endText(address: unknown, port: unknown): string {
  const text = String(address);
  if (port === null || port === undefined) return text;
  return text.includes(':') ? `[${text}]:${String(port)}` : `${text}:${String(port)}`;
}

export function nameOf(named: Named | null | undefined): string {
  return named === null || named === undefined ? '' : named.name || named.id;
}
