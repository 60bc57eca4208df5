/** Local time as `Nov 24, 22:01`, with the year if it is not the current one. */
export function formatTime(time: number | string, precision: 'minute' | 'second' = 'minute'): string {
  const date = new Date(time);
  return date.toLocaleString('en', {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(precision === 'second' && { second: '2-digit' }),
    ...(date.getFullYear() !== new Date().getFullYear() && { year: 'numeric' }),
  });
}
