import type { Operation } from '../operation';
import { FeedError, ofGraphqlErrors, ofStatus, problem } from '../problem';
import { bearer, type Poll } from '../transport';

/**
 * Asks with the tag of the last answer that was good, for which the server says 304 while it is the same. `read` gives the
 * value of an answer, or throws: what is wrong has a tag, too, and would be taken for the value that was before.
 */
export function tagged<T>(url: string, accept: string, read: (response: Response) => Promise<T>) {
  let tag: string | null = null;
  return async (token: string | null, signal: AbortSignal): Promise<{ response: Response; value: T | null }> => {
    const known = tag ? { 'if-none-match': tag } : undefined;
    const response = await fetch(url, { headers: { accept, ...bearer(token), ...known }, signal });
    if (response.status === 304) return { response, value: null };
    tag = null;
    const value = await read(response);
    tag = response.headers.get('etag');
    return { response, value };
  };
}

/** The query by GET with an entity tag. */
export function polling<T>(url: string, operation: Operation<T>): Poll<T> {
  const variables = JSON.stringify(operation.variables);
  const address = `${url}?${new URLSearchParams({ query: operation.query, variables })}`;
  const ask = tagged(address, 'application/graphql-response+json', async (response) => {
    const isAnswer = response.headers.get('content-type')?.includes('json');
    const answer = isAnswer ? await response.json() : {};
    if (answer.data) return operation.pick(answer.data);
    if (answer.errors?.length) throw new FeedError(ofGraphqlErrors(answer.errors));
    throw new FeedError(response.ok ? problem('network', 'no answer') : ofStatus(response.status));
  });
  return async (token, signal) => (await ask(token, signal)).value;
}
