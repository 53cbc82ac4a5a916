/** The text of a join token: `<id>.<secret>.<authority>`, of which the last is no secret, and tells an agent its server before it says anything. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** `id`: 12 hexadecimal digits. `secret`: 32 random bytes, base64url. `authority`: fingerprint of the authority of the servers. */
export type JoinTokenText = { readonly id: string; readonly secret: string; readonly authority: string };

const TOKEN = /^([0-9a-f]{12})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** A new one. */
export function createJoinToken(authority: string): JoinTokenText {
  return { id: randomBytes(6).toString('hex'), secret: randomBytes(32).toString('base64url'), authority };
}

export function formatJoinToken({ id, secret, authority }: JoinTokenText): string {
  return `${id}.${secret}.${authority}`;
}

/** Undefined: the text is none. */
export function parseJoinToken(text: string): JoinTokenText | undefined {
  const [, id, secret, authority] = TOKEN.exec(text.trim()) ?? [];
  return id === undefined || secret === undefined || authority === undefined ? undefined : { id, secret, authority };
}

/** What is kept of a secret: it cannot be guessed, so nothing slower is needed. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

/** Whether the secret has that hash; takes as long whatever differs. */
export function hasHash(secret: string, hash: string): boolean {
  const [a, b] = [Buffer.from(hashSecret(secret)), Buffer.from(hash)];
  return a.length === b.length && timingSafeEqual(a, b);
}
