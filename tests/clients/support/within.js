/** How long anything may take. Generous, since a debug build on a busy machine is slow; nothing waits so long when all is well. */
export const PATIENCE = 5_000;

/** What the promise gives, or an error that names what did not come in time: nothing in this suite waits without a deadline. */
export async function within(promise, what, milliseconds = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again, as fast as the answers come, until one satisfies; for changes that the server announces to nobody. */
export async function eventually(what, ask, satisfies) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const answer = await within(ask(), what);
    if (satisfies(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${PATIENCE} ms`);
  }
}
