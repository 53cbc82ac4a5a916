export { type BackEnd, type BackEndOptions, startBackEnd } from './back-end.ts';
