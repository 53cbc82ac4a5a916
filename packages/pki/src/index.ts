export type { Authority, CertificateRequest, Validity } from './certificates.ts';
export {
  CLOCK_SKEW_MS,
  createAuthority,
  isOfAuthorities,
  isPlace,
  isSignedBy,
  issueCertificate,
  placesOf,
} from './certificates.ts';
export type { AuthorityKind, OldCertificate, PkiPaths, RotationStep } from './directory.ts';
export {
  findOldCertificates,
  initAuthorities,
  issueWithKey,
  LIFE_MS,
  LOCAL_PLACES,
  pkiPaths,
  readAuthority,
  readPem,
  replaceFile,
  rotateAuthority,
  serverCommand,
  validityFrom,
  writeClient,
  writeServer,
} from './directory.ts';
export type { Identity } from './identity.ts';
export { formatIdentity, identityOf, nameOfIdentity, parseIdentity } from './identity.ts';
export type { JoinedMaterial } from './join-need.ts';
export { joinNeedOf } from './join-need.ts';
export type { JoinTokenText } from './join-token.ts';
export { createJoinToken, formatJoinToken, hasHash, hashSecret, parseJoinToken } from './join-token.ts';
export { certificatesIn, createKey, fingerprintOf, isKeyOf, keyFingerprint } from './keys.ts';
export type { ReadRequest } from './requests.ts';
export { createRequest, MAX_REQUEST_CHARS, readRequest } from './requests.ts';
export type { FollowedTls, TlsFiles, TlsMaterial } from './tls-files.ts';
export { followTlsFiles, readTlsFiles, watchFiles } from './tls-files.ts';
