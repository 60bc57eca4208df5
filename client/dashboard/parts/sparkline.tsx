export interface SparklineProps {
  values: readonly number[];
  label: string;
  /**
   * The value at the top.
   * @default the highest of the values
   */
  most?: number;
}

/** A few values as a line, the newest on the right. */
export function Sparkline({ values, label, most = Math.max(...values, 1) }: SparklineProps) {
  if (values.length < 2) return <span className="dim">–</span>;
  const points = values.map((value, index) => {
    const x = (index / (values.length - 1)) * 78 + 1;
    return `${x.toFixed(1)},${(21 - (value / most) * 19).toFixed(1)}`;
  });
  return (
    <svg viewBox="0 0 80 22" width="80" height="22" role="img" aria-label={label} className="sparkline">
      <polyline points={points.join(' ')} />
    </svg>
  );
}
