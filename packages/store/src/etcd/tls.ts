/** TLS to etcd, with certificates that others replace while connections are open. */
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, credentials, experimental } from '@grpc/grpc-js';

/** PEM. `ca`: authorities of etcd's members that are trusted; `own`: what is shown to them, null: nothing. */
export type EtcdCertificates = {
  readonly ca: readonly string[];
  readonly own: { readonly cert: string; readonly key: string } | null;
};

/** `current`: of connections that are made from now on. `follow`: the listener is told when they are others, until it is called back. Whether there is an own one does not change. */
export type EtcdTls = {
  readonly current: EtcdCertificates;
  follow(listener: () => void): () => void;
};

/** How a client is connected to a member. */
export type Channel = { readonly credentials: ChannelCredentials; readonly options: ChannelOptions };

/** To `host:port`; `tls` undefined: in clear. */
export function channelTo(endpoint: string, tls: EtcdTls | undefined): Channel {
  if (tls === undefined) return { credentials: credentials.createInsecure(), options: {} };
  const provider = new Provider(tls);
  const own = tls.current.own === null ? null : provider;
  const host = endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  const create = experimental.createCertificateProviderChannelCredentials;
  if (isIP(host) === 0) return { credentials: create(provider, own), options: {} };
  // grpc-js would name the address as the server that is wanted, which TLS (RFC 6066) has no room for: another name is said, and the address is looked for in the certificate.
  const verify = (_said: string, certificate: PeerCertificate): Error | undefined =>
    checkServerIdentity(host, certificate);
  return {
    credentials: create(provider, own, { checkServerIdentity: verify }),
    options: { 'grpc.ssl_target_name_override': 'etcd' },
  };
}

type CaListener = experimental.CaCertificateUpdateListener;
type OwnListener = experimental.IdentityCertificateUpdateListener;

class Provider implements experimental.CertificateProvider {
  readonly #tls: EtcdTls;
  readonly #stops = new Map<CaListener | OwnListener, () => void>();

  constructor(tls: EtcdTls) {
    this.#tls = tls;
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#add(listener, () => listener({ caCertificate: Buffer.from(this.#tls.current.ca.join('')) }));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#remove(listener);
  }

  addIdentityCertificateListener(listener: OwnListener): void {
    this.#add(listener, () => {
      const { own } = this.#tls.current;
      listener(own === null ? null : { certificate: Buffer.from(own.cert), privateKey: Buffer.from(own.key) });
    });
  }

  removeIdentityCertificateListener(listener: OwnListener): void {
    this.#remove(listener);
  }

  #add(listener: CaListener | OwnListener, tell: () => void): void {
    this.#stops.set(listener, this.#tls.follow(tell));
    tell();
  }

  #remove(listener: CaListener | OwnListener): void {
    this.#stops.get(listener)?.();
    this.#stops.delete(listener);
  }
}
