/** Certificates for hosts: the first by a token, each further one by the one before. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { CableError } from '@cable/model';
import {
  type Authority,
  type Identity,
  issueCertificate,
  keyFingerprint,
  LIFE_MS,
  readRequest,
  validityFrom,
} from '@cable/pki';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { noteWrites } from '../audit/written.ts';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { parseHostName } from '../hosts/parse.ts';
import { askedOf } from '../http/asked.ts';
import { hostCertificateOf, JOIN_PATH } from '../tls/certificates.ts';
import { certificateKey, planIssue, refuseRevokedNow } from './host-certificates.ts';
import { joiningOf, lookAtToken, planSpend } from './join-tokens.ts';

/** What a host gets. `authorities`: of servers, which it trusts from then on. */
export type HostCertificateAnswer = {
  readonly certificate: string;
  readonly authorities: readonly string[];
};

type Fields = Readonly<Record<string, unknown>>;

/** Adds the route by which a host without a certificate gets one. */
export function addJoinRoute(app: FastifyInstance, deps: EngineDeps): void {
  app.post(JOIN_PATH, async (request, reply) => {
    const fields = fieldsOf(request.body);
    const host = parseHostName(textOf(fields, 'host'));
    const [id, secret] = [textOf(fields, 'token'), textOf(fields, 'secret')];
    // First of all: who has no token costs no signature, and waits in no line before the host itself.
    await lookAtToken(deps, { id, secret, host });
    const key = await keyOf(fields, host);
    const fingerprint = keyFingerprint(key);
    const answer = await issue(deps, request, { host, key, token: id }, ({ plan }) =>
      planSpend(plan, { id, secret, host, key: fingerprint }, deps.now()),
    );
    deps.log.info({ host, token: id }, 'a host has joined');
    return reply.code(201).send(answer);
  });
}

/** Adds the route by which a host gets another certificate; who asks is a host, and the one in the path. */
export function addRenewRoute(app: FastifyInstance, deps: EngineDeps): void {
  app.post<{ Params: { host: string } }>('/cable/v1/hosts/:host/certificate', async (request, reply) => {
    const host = parseHostName(request.params.host);
    const shown = hostCertificateOf(request.raw.socket);
    if (shown === undefined || shown.host !== host) {
      throw new CableError('HTTPForbidden', 'A host renews its certificate by the one it has.', {
        detail: 'Ask with the certificate of the host.',
      });
    }
    const key = await keyOf(fieldsOf(request.body), host);
    const answer = await issue(deps, request, { host, key, token: null }, ({ plan }) => refuseRevokedNow(plan, shown));
    deps.log.info({ host }, 'a host has renewed its certificate');
    return reply.code(201).send(answer);
  });
}

/** Writes that there is a certificate, if `allow` does not refuse it, then makes it: whatever breaks off between, the host asks again with the same key. */
async function issue(
  deps: EngineDeps,
  request: FastifyRequest,
  { host, key, token }: { readonly host: string; readonly key: Uint8Array; readonly token: string | null },
  allow: (planning: Planning) => void,
): Promise<HostCertificateAnswer> {
  const { signer, signerFingerprint, authorities } = joiningOf(deps);
  const life = lifeOf(deps, signer);
  const asked = engineAsked(deps, request);
  const locks = [certificateKey(host), ...(token === null ? [] : [`join_token/${token}`])];
  const at = await deps.lock.run(locks, asked, () =>
    transact(deps, asked, (planning) => {
      allow(planning);
      const issued = { host, token, key: keyFingerprint(key), authority: signerFingerprint, lifeMs: life };
      return planIssue(planning.plan, issued, deps.now());
    }),
  );
  const identity: Identity = { kind: 'host', name: host };
  const certificate = await issueCertificate(signer, { identity, publicKey: key, ...validityFrom(at, life) });
  return { certificate, authorities };
}

function lifeOf({ settings, now }: EngineDeps, signer: Authority): number {
  const { hostCertificateMs = LIFE_MS.host } = settings;
  const left = new Date(new X509Certificate(signer.certificate).validTo).getTime() - now().getTime() - 1000;
  if (left > 0) return Math.min(hostCertificateMs, left);
  throw new CableError('HostsJoinElsewhere', 'The authority of hosts has expired.', {
    detail: 'Let another take its place: cable pki rotate --hosts.',
  });
}

/** The public key of the request for a certificate, which is for that host. Throws `InvalidInput`. */
async function keyOf(fields: Fields, host: string): Promise<Uint8Array> {
  const read = await readRequest(textOf(fields, 'request'), { kind: 'host', name: host });
  if (!read.ok) throw new CableError('InvalidInput', `Invalid input for request. Reason: ${read.reason}.`);
  return createPublicKey({ key: Buffer.from(read.publicKey), format: 'der', type: 'spki' }).export({
    type: 'spki',
    format: 'der',
  });
}

function fieldsOf(body: unknown): Fields {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Fields;
  throw new CableError('InvalidInput', 'Invalid input for body. Reason: a JSON object is required.');
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === 'string' && value.length > 0 && value.length <= 8192) return value;
  throw new CableError('InvalidInput', `Invalid input for ${name}. Reason: a text is required.`);
}

/** It is asked for by a host: the rules are not asked. */
function engineAsked(deps: EngineDeps, request: FastifyRequest): Asked {
  const asked = askedOf(request);
  const nowhere = { domainId: null, userDomainId: null, projectDomainId: null, systemScope: null };
  return {
    credentials: { userId: null, projectId: null, roles: [], ...nowhere },
    ...{ deadlineMs: asked.deadlineMs, idempotencyKey: null, loaded: deps.resources.current, isSet: () => false },
    wrote: noteWrites(request),
    get signal() {
      return asked.signal;
    },
    get isGone() {
      return asked.isGone;
    },
  };
}
