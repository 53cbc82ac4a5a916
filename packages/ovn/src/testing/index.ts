export * from './objects.ts';
export { SCHEMAS, startOvsdbServer, type TestServer, type TestServerOptions } from './ovsdb-server.ts';
export { type Answer, TOKEN, ToldBackEnd, type ToldObject } from './told-back-end.ts';
export { until } from './until.ts';
