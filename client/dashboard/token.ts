const KEY = 'pipewatch-token';

/** The token that was given on this page, for as long as its tab is open. */
export function storedToken(): string | null {
  return sessionStorage.getItem(KEY);
}

export function storeToken(token: string) {
  sessionStorage.setItem(KEY, token);
}
