/** Where a database is reached, as `ovn-nbctl --db` takes it. */
import { type Socket, connect as tcpConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';

/** One place where a server listens. */
export type Remote =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number };

/** For `ssl`: files' contents, PEM. */
export type RemoteTls = { readonly ca: string; readonly cert: string; readonly key: string };

/** The places of a text such as `unix:/run/ovn/ovnnb_db.sock` or `ssl:10.0.0.1:6641,ssl:[fd00::2]:6641`, in its order; undefined: it is none. */
export function parseRemotes(text: string): readonly Remote[] | undefined {
  const remotes = text.split(',').map(parseRemote);
  return remotes.every((one) => one !== undefined) ? remotes : undefined;
}

/** As it was given. */
export function formatRemote(remote: Remote): string {
  if (remote.kind === 'unix') return `unix:${remote.path}`;
  return `${remote.kind}:${remote.host.includes(':') ? `[${remote.host}]` : remote.host}:${remote.port}`;
}

/** Begins to connect. The socket tells of failures as all sockets do; `connectEvent` is what it says when it is there. */
export function openRemote(
  remote: Remote,
  tls: RemoteTls | undefined,
): { readonly socket: Socket; readonly connectEvent: string } {
  if (remote.kind === 'unix') return { socket: tcpConnect(remote.path), connectEvent: 'connect' };
  const { host, port } = remote;
  if (remote.kind === 'tcp') return { socket: tcpConnect({ host, port }), connectEvent: 'connect' };
  // Certificates of OVN name machines by no rule: whom the authority of this cloud signed is believed, as by OVN's own clients.
  const checkServerIdentity = (): undefined => undefined;
  return { socket: tlsConnect({ host, port, ...tls, checkServerIdentity }), connectEvent: 'secureConnect' };
}

function parseRemote(text: string): Remote | undefined {
  const [, path] = /^unix:(.+)$/.exec(text) ?? [];
  if (path !== undefined) return { kind: 'unix', path };
  const [, kind, six, four, digits] = /^(tcp|ssl):(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = six ?? four;
  const port = Number(digits);
  if (host === undefined || (kind !== 'tcp' && kind !== 'ssl') || port < 1 || port > 65_535) return undefined;
  return { kind, host, port };
}
