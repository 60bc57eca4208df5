import type uPlot from 'uplot';
import { isGrave, type Mark, marksNear, sentence, sureness } from './anomalies';

/** A mark, and on which of the chart's lines it is, from 1 as uPlot counts. */
export interface Placed extends Mark {
  readonly line: number;
}

export interface MarksOptions {
  marks(): readonly Placed[];
  /** The id of that which is pointed at beside the chart. */
  chosen(): string | null;
  color: string;
  ground: string;
}

const RADIUS = 5;
/** So many are explained over the chart; the list has them all. */
const MOST = 2;
/** In pixels: more would hide the chart. */
const WIDEST = 320;

/** Rings on the lines where something was unusual, and what it was under the pointer. */
export function marksPlugin({ marks, chosen, color, ground }: MarksOptions): uPlot.Plugin {
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  // The list below says the same to whom it does not show.
  tip.ariaHidden = 'true';
  return {
    hooks: {
      init: (plot) => void plot.over.append(tip),
      draw: (plot) => draw(plot, marks(), chosen(), color, ground),
      setCursor: (plot) => {
        const { left = -1 } = plot.cursor;
        const near = left < 0 ? [] : marksNear(marks(), left, (at) => plot.valToPos(at, 'x'));
        tip.hidden = near.length === 0;
        const [first] = near;
        if (!first) return;
        const texts = near
          .toSorted((a, b) => Number(isGrave(b.anomaly)) - Number(isGrave(a.anomaly)))
          .slice(0, MOST)
          .map(({ anomaly }) => `${sentence(anomaly)} (${sureness(anomaly)})`);
        if (near.length > MOST) texts.push(`and ${near.length - MOST} more, listed below`);
        tip.replaceChildren(...texts.map(line));
        const place = plot.valToPos(first.at, 'x');
        const isRight = place > plot.over.clientWidth / 2;
        tip.style.left = isRight ? '' : `${place + 10}px`;
        tip.style.right = isRight ? `${plot.over.clientWidth - place + 10}px` : '';
        tip.style.maxWidth = `${Math.min(isRight ? place - 10 : plot.over.clientWidth - place - 10, WIDEST)}px`;
      },
    },
  };
}

function line(text: string): HTMLElement {
  const element = document.createElement('div');
  element.textContent = text;
  return element;
}

function draw(plot: uPlot, marks: readonly Placed[], chosen: string | null, color: string, ground: string) {
  const { ctx, bbox } = plot;
  const ratio = plot.ctx.canvas.width / plot.width;
  ctx.save();
  ctx.strokeStyle = color;
  // The grave ones last: they are seen where others are.
  for (const { anomaly, at, line } of marks.toSorted(
    (a, b) => Number(isGrave(a.anomaly)) - Number(isGrave(b.anomaly)),
  )) {
    const index = plot.data[0].indexOf(at);
    if (index < 0) continue;
    const x = plot.valToPos(at, 'x', true);
    const value = plot.data[line]?.[index];
    // Where nothing came there is no line to be on: it is on the ground.
    const y = value == null ? bbox.top + bbox.height : plot.valToPos(value, 'y', true);
    const isChosen = anomaly.id === chosen;
    ctx.globalAlpha = isGrave(anomaly) || isChosen ? 1 : 0.5;
    ctx.lineWidth = (isGrave(anomaly) ? 2.5 : 1.5) * ratio;
    if (isChosen) {
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.beginPath();
    ctx.arc(x, y, RADIUS * ratio, 0, 2 * Math.PI);
    ctx.fillStyle = isGrave(anomaly) ? color : ground;
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}
