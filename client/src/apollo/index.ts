/** Writes a feed into an Apollo Client cache, so that ordinary queries read it. */
export { typePolicies, writeOverview, writeStatus } from './cache';
