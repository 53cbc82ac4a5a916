export { type Access, AccessError, type Auth, type Scope } from './access.ts';
export { accessFromClouds, readAccess } from './clouds.ts';
export { accessFromEnvironment } from './environment.ts';
export { KeystoneError, type KeystoneErrorKind } from './keystone-error.ts';
export { type CatalogEntry, endpointOf, type Login, login } from './login.ts';
export { type RevocationEvent, revokes } from './revocation.ts';
export { KeystoneSession, type KeystoneSessionOptions, type ServiceAnswer, type ServiceRequest } from './session.ts';
export { type AccessRule, parseToken, type TokenInfo } from './token-info.ts';
