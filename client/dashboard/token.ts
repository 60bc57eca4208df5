const KEY = 'pipewatch-token';

/** The token entered on this page. It is kept until the tab is closed. */
export function storedToken(): string | null {
  return sessionStorage.getItem(KEY);
}

export function storeToken(token: string) {
  sessionStorage.setItem(KEY, token);
}
